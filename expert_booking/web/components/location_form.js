// Where a booking takes place: a host changes it in place. Python validates and stores it.
import { question, request } from "question";

export default {
  mixins: [question],
  props: { shown: Boolean, kinds: Array, kind: String, text: String, placeLength: Number },
  template: `
    <div class="under" data-location-form>
      <template v-if="shown">
        <button v-if="!asking" ref="ask" class="button quiet" type="button" @click="open">Change the location</button>
        <section v-else class="panel" aria-labelledby="change-location">
          <form class="form" novalidate :aria-busy="sending" @submit.prevent="request('save', { kind: chosen, text: typed })" @keydown.esc.prevent="keep">
            <h2 id="change-location" ref="question" tabindex="-1">Change the location</h2>
            <div class="field">
              <label for="location-kind">Kind</label>
              <select id="location-kind" class="input" v-model="chosen"><option v-for="one in kinds" :key="one.value" :value="one.value">{{ one.text }}</option></select>
            </div>
            <div class="field" :class="{ wrong: error }">
              <label for="location-text">{{ about.label }}</label>
              <textarea id="location-text" class="input" v-model="typed" :maxlength="placeLength" :aria-invalid="error ? 'true' : null" :aria-describedby="error ? 'location-error' : null" style="min-height: 4rem"></textarea>
              <p v-if="error" class="error" id="location-error" role="alert">{{ error }}</p>
            </div>
            <p class="hint soft small">The customer gets an email with a new calendar file.</p>
            <div class="actions">
              <button class="button" type="submit" :aria-disabled="sending">{{ sending ? "Just a moment …" : "Save" }}</button>
              <button class="button quiet" type="button" @click="keep">Cancel</button>
            </div>
          </form>
        </section>
      </template>
    </div>`,
  data() {
    return { chosen: "", typed: "" };
  },
  computed: {
    about() {
      return this.kinds.find((one) => one.value === this.chosen) ?? {};
    },
  },
  methods: {
    opener() {
      return this.$refs.ask;
    },
    open() {
      this.chosen = this.kind;
      this.typed = this.text;
      this.ask(true);
    },
    done(error) {
      request.methods.done.call(this, error);
      if (error) return;
      this.asking = null;
      this.$nextTick(() => document.getElementById("news")?.focus());
    },
  },
};
