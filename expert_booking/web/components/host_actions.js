// What a host can do with a booking. Python decides which transitions are open now; declining and cancelling are
// confirmed here.
import { question } from "question";

export default {
  mixins: [question],
  props: { title: String, transitions: Array, mayReschedule: Boolean, when: String, rescheduleUrl: String, reasonLength: Number },
  template: `
    <div :class="{ manage: error || transitions?.length || mayReschedule }">
      <p v-if="error" class="note bad" role="alert" data-refusal="change">{{ error }}</p>
      <section v-if="transitions?.length || mayReschedule" class="panel" :aria-labelledby="asking ? 'host-question' : 'host'">
        <form v-if="asking" class="form" :aria-busy="sending" @submit.prevent="change(asking, reason)" @keydown.esc.prevent="keep">
          <div>
            <h2 id="host-question" ref="question" tabindex="-1">{{ asking.question }}</h2>
            <p>{{ when }}. The time becomes available to others. This cannot be undone.</p>
          </div>
          <div class="field">
            <label for="host-reason">Reason<span> (optional)</span></label>
            <textarea id="host-reason" class="input" v-model="reason" :maxlength="reasonLength" aria-describedby="host-reason-hint"></textarea>
            <p class="hint" id="host-reason-hint">The customer will see this.</p>
          </div>
          <div class="actions">
            <button class="button danger" type="submit" :aria-disabled="sending">{{ sending ? "Just a moment …" : asking.yes }}</button>
            <button class="button quiet" type="button" @click="keep">Go back</button>
          </div>
        </form>
        <template v-else>
          <h2 id="host">{{ title }}</h2>
          <div class="actions">
            <button v-for="transition in transitions" :key="transition.status" ref="buttons" type="button" class="button"
              :class="{ quiet: transition.question || transition.quiet, danger: transition.question }" :aria-disabled="sending" :data-transition="transition.status"
              @click="transition.question ? ask(transition) : change(transition, '')">{{ transition.label }}</button>
            <a v-if="mayReschedule" class="button quiet" :href="rescheduleUrl">Reschedule</a>
          </div>
        </template>
      </section>
    </div>`,
  data() {
    return { reason: "" };
  },
  watch: {
    transitions(now, before) {
      const removed = (before ?? []).some((transition) => !now.some((other) => other.status === transition.status));
      if (!removed) return;
      this.focusNews();
      if (this.asking && !now.some((transition) => transition.status === this.asking.status)) this.asking = null;
      this.sending = false;
    },
  },
  methods: {
    opener(transition) {
      return this.$el.querySelector('[data-transition="' + transition.status + '"]');
    },
    change(transition, reason) {
      this.request("change", { status: transition.status, reason });
    },
  },
};
