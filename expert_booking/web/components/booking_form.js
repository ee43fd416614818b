// The booking form. Its draft is kept in this tab's storage, so it survives a refusal, a reload and a server restart.
// The draft contains the submission id, so sending it twice makes one booking.
const TYPING_INTERVAL = 15000; // milliseconds: at most one "typing" event in this time

export default {
  props: { draft: String, submission: String, phoneRequired: Boolean, phoneHint: String, byExpert: Boolean, mails: Boolean, asksForCode: Boolean, limits: Object },
  template: `
    <form class="form panel" novalidate @submit.prevent="send" :aria-busy="sending">
      <p v-if="Object.keys(errors).length" class="note bad" role="alert">{{ summary }}</p>
      <div v-for="field in fields" :key="field.key" class="field" :class="{ wrong: errors[field.key] }">
        <label :for="field.key">{{ field.label }}<span v-if="field.optional"> (optional)</span></label>
        <textarea v-if="field.key === 'notes'" :id="field.key" class="input" v-bind="about(field)" v-model="values[field.key]" @input="type"></textarea>
        <input v-else :id="field.key" class="input" v-bind="about(field)" v-model="values[field.key]" @input="type">
        <p v-if="errors[field.key]" class="error" :id="field.key + '-error'">{{ errors[field.key] }}</p>
        <p v-else-if="field.hint" class="hint" :id="field.key + '-hint'">{{ field.hint }}</p>
      </div>
      <button class="button" type="submit" :aria-disabled="sending">{{ sending ? "Sending …" : byExpert ? "Request this time" : "Book this time" }}</button>
      <p class="hint soft small">Your details are shown to the expert only. <a href="/privacy" target="_blank">Privacy</a></p>
    </form>`,
  data() {
    let draft = {};
    try {
      draft = JSON.parse(sessionStorage.getItem(this.key()) ?? "{}");
    } catch {}
    return {
      values: { name: "", email: "", phone: "", notes: "", ...draft.values },
      number: draft.number ?? this.submission,
      errors: {},
      sending: false,
      timer: null,
      lastTyping: -TYPING_INTERVAL,
    };
  },
  computed: {
    fields() {
      return [
        { key: "name", label: "Name", type: "text", autocomplete: "name" },
        { key: "email", label: "Email", type: "email", autocomplete: "email", hint: !this.mails ? "" : this.asksForCode ? "We'll send you a code here to confirm your booking." : "We'll send your confirmation here." },
        { key: "phone", label: "Phone", type: "tel", autocomplete: "tel", optional: !this.phoneRequired, hint: this.phoneHint },
        { key: "notes", label: "Notes", optional: true, hint: "What would you like to talk about?" },
      ];
    },
    summary() {
      const number = Object.keys(this.errors).length;
      return number === 1 ? "One field needs your attention." : number + " fields need your attention.";
    },
  },
  methods: {
    key() {
      return "booking-draft:" + this.draft;
    },
    about(field) {
      const wrong = this.errors[field.key];
      return {
        type: field.type,
        autocomplete: field.autocomplete,
        maxlength: this.limits[field.key],
        required: !field.optional,
        "aria-invalid": wrong ? "true" : null,
        "aria-describedby": wrong ? field.key + "-error" : field.hint ? field.key + "-hint" : null,
      };
    },
    save() {
      sessionStorage.setItem(this.key(), JSON.stringify({ values: this.values, number: this.number }));
    },
    type() {
      this.save();
      if (performance.now() - this.lastTyping < TYPING_INTERVAL) return;
      this.lastTyping = performance.now();
      this.$emit("typing");
    },
    send() {
      if (this.sending) return;
      this.save();
      this.errors = {};
      this.sending = true;
      // A response that never comes must not lock the form. Sending again repeats the same submission.
      this.timer = setTimeout(() => (this.sending = false), 20000);
      this.$emit("book", { ...this.values, submission: this.number });
    },
    showErrors(errors) {
      clearTimeout(this.timer);
      this.sending = false;
      this.errors = errors;
      const first = this.fields.find((field) => errors[field.key]);
      if (first) this.$nextTick(() => document.getElementById(first.key).focus());
    },
    showNotice() {
      // The button is below the form, and the notice above it may be out of sight.
      this.$nextTick(() => document.querySelector(".two [data-refusal]")?.scrollIntoView({ block: "center" }));
    },
    leave(url) {
      clearTimeout(this.timer);
      sessionStorage.removeItem(this.key());
      window.location.assign(url);
    },
  },
};
