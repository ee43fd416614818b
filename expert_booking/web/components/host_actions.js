// What a host can do with a booking. Python decides which transitions are open now; declining and cancelling are
// confirmed here.
export default {
  props: { title: String, transitions: Array, mayReschedule: Boolean, when: String, rescheduleUrl: String, reasonLength: Number },
  template: `
    <div :class="{ manage: error || transitions?.length || mayReschedule }">
      <p v-if="error" class="note bad" role="alert" data-refusal="change">{{ error }}</p>
      <section v-if="transitions?.length || mayReschedule" class="panel" :aria-labelledby="asked ? 'host-question' : 'host'">
        <form v-if="asked" class="form" :aria-busy="sending" @submit.prevent="send(asked, reason)" @keydown.esc.prevent="keep">
          <div>
            <h2 id="host-question" ref="question" tabindex="-1">{{ asked.question }}</h2>
            <p>{{ when }}. The time becomes available to others. This cannot be undone.</p>
          </div>
          <div class="field">
            <label for="host-reason">Reason<span> (optional)</span></label>
            <textarea id="host-reason" class="input" v-model="reason" :maxlength="reasonLength" aria-describedby="host-reason-hint"></textarea>
            <p class="hint" id="host-reason-hint">The customer will see this.</p>
          </div>
          <div class="actions">
            <button class="button danger" type="submit" :aria-disabled="sending">{{ sending ? "Just a moment …" : asked.yes }}</button>
            <button class="button quiet" type="button" @click="keep">Go back</button>
          </div>
        </form>
        <template v-else>
          <h2 id="host">{{ title }}</h2>
          <div class="actions">
            <button v-for="transition in transitions" :key="transition.status" ref="buttons" type="button" class="button"
              :class="{ quiet: transition.question || transition.quiet, danger: transition.question }" :aria-disabled="sending" :data-transition="transition.status"
              @click="transition.question ? ask(transition) : send(transition, '')">{{ transition.label }}</button>
            <a v-if="mayReschedule" class="button quiet" :href="rescheduleUrl">Reschedule</a>
          </div>
        </template>
      </section>
    </div>`,
  data() {
    return { asked: null, sending: false, reason: "", error: "", timer: null };
  },
  watch: {
    transitions(now, before) {
      const removed = (before ?? []).some((transition) => !now.some((other) => other.status === transition.status));
      if (!removed) return;
      // The focused element is about to disappear, so move the focus to the notice that explains why.
      if (this.$el.contains(document.activeElement)) this.$nextTick(() => document.getElementById("news")?.focus());
      if (this.asked && !now.some((transition) => transition.status === this.asked.status)) this.asked = null;
      this.sending = false;
    },
  },
  methods: {
    ask(transition) {
      this.asked = transition;
      this.error = "";
      this.$nextTick(() => this.$refs.question.focus());
    },
    keep() {
      if (this.sending) return;
      const status = this.asked.status;
      this.asked = null;
      this.error = "";
      this.$nextTick(() => this.$el.querySelector('[data-transition="' + status + '"]')?.focus());
    },
    send(transition, reason) {
      if (this.sending) return;
      this.sending = true;
      this.error = "";
      // A response that never comes must not lock the question.
      this.timer = setTimeout(() => this.done("No response. Check your connection and try again."), 20000);
      this.$emit("change", { status: transition.status, reason });
    },
    done(error) {
      clearTimeout(this.timer);
      this.sending = false;
      this.error = error;
    },
  },
};
