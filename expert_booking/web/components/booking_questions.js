// What an expert asks before a session: where to meet, and questions. Only forms of session types that ask something
// load this. As in the form, the input stays in the browser until the booking is made, and is kept in this tab's storage.
const TYPING_INTERVAL = 15000; // milliseconds: at most one "typing" event in this time

export default {
  props: { draft: String, locations: Array, questions: Array, placeLength: Number },
  template: `
    <section class="form panel" aria-labelledby="asked" data-questions>
      <h2 id="asked">About your session</h2>
      <div v-if="locations.length > 1" class="field" :class="{ wrong: errors.location }" role="radiogroup" aria-labelledby="location-label" :aria-describedby="errors.location ? 'location-error' : null">
        <b id="location-label" style="font-size: var(--text-s)">Where would you like to meet?</b>
        <label v-for="(one, n) in locations" :key="one.id" style="font-weight: 420; display: flex; gap: 0.6rem; align-items: baseline">
          <input type="radio" name="location" style="accent-color: var(--brand)" :id="n ? null : 'location'" :value="one.id" :checked="one === chosen" @change="location.id = one.id; type()" :aria-invalid="errors.location ? 'true' : null">{{ one.label }}
        </label>
        <p v-if="errors.location" class="error" id="location-error">{{ errors.location }}</p>
      </div>
      <div v-if="named" class="field" :class="{ wrong: errors['location.text'] }">
        <label for="location.text">Place</label>
        <textarea id="location.text" class="input" v-model="location.text" @input="type" :maxlength="placeLength" required :aria-invalid="errors['location.text'] ? 'true' : null" :aria-describedby="errors['location.text'] ? 'location.text-error' : named.hint ? 'location.text-hint' : null" style="min-height: 4rem"></textarea>
        <p v-if="errors['location.text']" class="error" id="location.text-error">{{ errors["location.text"] }}</p>
        <p v-else-if="named.hint" class="hint" id="location.text-hint">{{ named.hint }}</p>
      </div>
      <div v-for="one in questions" :key="one.id" class="field" :class="{ wrong: error(one) }" :data-question="one.id"
        :role="several(one) ? (one.kind === 'choices' ? 'group' : 'radiogroup') : null" :aria-labelledby="several(one) ? id(one) + '-label' : null" :aria-describedby="several(one) ? described(one) : null">
        <component :is="several(one) ? 'b' : 'label'" style="font-size: var(--text-s)" :id="several(one) ? id(one) + '-label' : null" :for="several(one) ? null : id(one)">{{ one.text }}<span v-if="!one.required" class="soft" style="font-weight: 420"> (optional)</span></component>
        <template v-if="several(one)">
          <label v-for="(option, n) in options(one)" :key="option.text" style="font-weight: 420; display: flex; gap: 0.6rem; align-items: baseline">
            <input :type="one.kind === 'choices' ? 'checkbox' : 'radio'" style="accent-color: var(--brand)" :name="id(one)" :id="n ? null : id(one)" :value="option.value" v-model="answers[one.id]" @change="type" :aria-invalid="error(one) ? 'true' : null">{{ option.text }}
          </label>
        </template>
        <textarea v-else-if="one.kind === 'long_text'" :id="id(one)" class="input" v-model="answers[one.id]" @input="type" v-bind="about(one)"></textarea>
        <input v-else :id="id(one)" class="input" v-model="answers[one.id]" @input="type" v-bind="about(one)" :inputmode="one.kind === 'number' ? 'decimal' : null">
        <p v-if="error(one)" class="error" :id="id(one) + '-error'">{{ error(one) }}</p>
        <p v-else-if="one.sensitive" class="hint" :id="id(one) + '-hint'">This answer is never sent by email.</p>
      </div>
    </section>`,
  data() {
    let draft = {};
    try {
      draft = JSON.parse(sessionStorage.getItem(this.key()) ?? "{}");
    } catch {}
    return { location: { id: null, text: "", ...draft.location }, answers: this.complete(draft.answers ?? {}), errors: {}, lastTyping: -TYPING_INTERVAL };
  },
  computed: {
    chosen() {
      return this.locations.find((one) => one.id === this.location.id) ?? this.locations[0];
    },
    named() {
      return this.chosen?.asks ? this.chosen : null;
    },
  },
  watch: {
    // The expert may add a question while the form is open. What was typed stays.
    questions() {
      this.answers = this.complete(this.answers);
    },
  },
  methods: {
    key() {
      return "booking-answers:" + this.draft;
    },
    id(question) {
      return "answers." + question.id;
    },
    error(question) {
      return this.errors[this.id(question)];
    },
    described(question) {
      return this.error(question) ? this.id(question) + "-error" : question.sensitive ? this.id(question) + "-hint" : null;
    },
    about(question) {
      return { maxlength: question.length, required: question.required, "aria-invalid": this.error(question) ? "true" : null, "aria-describedby": this.described(question) };
    },
    several(question) {
      return ["choice", "choices", "yes_no"].includes(question.kind);
    },
    options(question) {
      if (question.kind === "yes_no") return [{ text: "Yes", value: true }, { text: "No", value: false }];
      return question.options.map((text) => ({ text, value: text }));
    },
    // An answer for each question, because a group of checkboxes needs a list.
    complete(answers) {
      const all = { ...answers };
      for (const one of this.questions) {
        if (one.kind === "choices" && !Array.isArray(all[one.id])) all[one.id] = [];
        else all[one.id] ??= one.kind === "choice" || one.kind === "yes_no" ? null : "";
      }
      return all;
    },
    type() {
      sessionStorage.setItem(this.key(), JSON.stringify({ location: this.location, answers: this.answers }));
      if (performance.now() - this.lastTyping < TYPING_INTERVAL) return;
      this.lastTyping = performance.now();
      this.$emit("typing");
    },
    send() {
      const asked = this.questions.map((one) => [one.id, this.answers[one.id]]);
      const location = this.chosen ? { id: this.chosen.id, text: this.named ? this.location.text : "" } : null;
      this.$emit("values", { location, answers: Object.fromEntries(asked) });
    },
    showErrors(errors) {
      this.errors = errors;
      const first = [...this.$el.querySelectorAll("input[id], textarea[id]")].find((input) => errors[input.id]);
      if (first) this.$nextTick(() => first.focus());
    },
    forget() {
      sessionStorage.removeItem(this.key());
    },
  },
};
