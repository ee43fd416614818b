// Asks for confirmation before the links to a booking are ended. Python ends them.
import { question, request } from "question";

export default {
  mixins: [question],
  props: { email: String },
  template: `
    <div class="shared-link">
      <template v-if="email">
        <button v-if="!asking" ref="ask" class="button quiet" type="button" @click="ask(true)">This link was shared by mistake</button>
        <section v-else class="panel" aria-labelledby="end-links">
          <form class="form" :aria-busy="sending" @submit.prevent="request('end')" @keydown.esc.prevent="keep">
            <div>
              <h2 id="end-links" ref="question" tabindex="-1">End all links to this booking?</h2>
              <p>The links to this booking in our emails stop working for everyone. We'll send a new one to <b>{{ email }}</b>.</p>
            </div>
            <p v-if="error" class="note bad" role="alert" data-refusal="end-links">{{ error }}</p>
            <div class="actions">
              <button class="button danger" type="submit" :aria-disabled="sending">{{ sending ? "Just a moment …" : "Yes, send a new link" }}</button>
              <button class="button quiet" type="button" @click="keep">Keep the links</button>
            </div>
          </form>
        </section>
      </template>
    </div>`,
  methods: {
    opener() {
      return this.$refs.ask;
    },
    done(error) {
      request.methods.done.call(this, error);
      if (error) return;
      this.asking = null;
      this.$nextTick(() => document.getElementById("news")?.focus());
    },
  },
};
