// The booking form. A draft lives in this tab's storage, so neither a refusal, a reload nor a restart of the server
// loses a word; it carries the number of its submission, so sending it twice makes one booking.
const TELL = 15000; // milliseconds: how often somebody who types says so

export default {
  props: { draft: String, submission: String, phoneRequired: Boolean, byExpert: Boolean, limits: Object },
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
      <button class="button" type="submit" :aria-disabled="sending">{{ sending ? "Sending …" : byExpert ? "Ask to book this time" : "Book this time" }}</button>
      <p class="hint soft small">Your details are shown to the expert only.</p>
    </form>`,
  data() {
    let kept = {};
    try {
      kept = JSON.parse(sessionStorage.getItem(this.key()) ?? "{}");
    } catch {}
    return {
      values: { name: "", email: "", phone: "", notes: "", ...kept.values },
      number: kept.number ?? this.submission,
      errors: {},
      sending: false,
      timer: null,
      told: -TELL,
    };
  },
  computed: {
    fields() {
      return [
        { key: "name", label: "Name", type: "text", autocomplete: "name" },
        { key: "email", label: "E-mail", type: "email", autocomplete: "email", hint: "Your booking is kept under this address." },
        { key: "phone", label: "Phone", type: "tel", autocomplete: "tel", optional: !this.phoneRequired },
        { key: "notes", label: "Notes", optional: true, hint: "What would you like to talk about?" },
      ];
    },
    summary() {
      const number = Object.keys(this.errors).length;
      return number === 1 ? "One thing needs another look." : number + " things need another look.";
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
    keep() {
      sessionStorage.setItem(this.key(), JSON.stringify({ values: this.values, number: this.number }));
    },
    type() {
      this.keep();
      if (performance.now() - this.told < TELL) return;
      this.told = performance.now();
      this.$emit("typing");
    },
    send() {
      if (this.sending) return;
      this.keep();
      this.errors = {};
      this.sending = true;
      // An answer that never comes must not lock the form; sent again it is the same submission.
      this.timer = setTimeout(() => (this.sending = false), 20000);
      this.$emit("book", { ...this.values, submission: this.number });
    },
    complain(errors) {
      clearTimeout(this.timer);
      this.sending = false;
      this.errors = errors;
      const first = this.fields.find((field) => errors[field.key]);
      if (first) this.$nextTick(() => document.getElementById(first.key).focus());
    },
    leave(url) {
      clearTimeout(this.timer);
      sessionStorage.removeItem(this.key());
      window.location.assign(url);
    },
  },
};
