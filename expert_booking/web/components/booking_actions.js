// What the customer can do with a booking. Python decides what is allowed now; cancelling is confirmed here.
import { question } from "question";

export default {
  mixins: [question],
  props: { title: String, sentences: Array, when: Object, mayReschedule: Boolean, mayCancel: Boolean, rescheduleUrl: String, reasonLength: Number },
  template: `
    <div class="manage">
      <p v-if="error" class="note bad" role="alert" data-refusal="cancel">{{ error }}</p>
      <section v-if="sentences.length" class="panel" :aria-labelledby="asking ? 'question' : 'manage'">
        <form v-if="asking" class="form" :aria-busy="sending" @submit.prevent="request('cancel', reason)" @keydown.esc.prevent="keep">
          <div>
            <h2 id="question" ref="question" tabindex="-1">Cancel this booking?</h2>
            <p>{{ when.day }}, <span class="nowrap">{{ when.time }}</span>, {{ when.zone }}.</p>
            <p>The time becomes available to others. This cannot be undone.</p>
          </div>
          <div class="field">
            <label for="reason">Reason<span> (optional)</span></label>
            <textarea id="reason" class="input" v-model="reason" :maxlength="reasonLength" aria-describedby="reason-hint"></textarea>
            <p class="hint" id="reason-hint">The expert will see this.</p>
          </div>
          <div class="actions">
            <button class="button danger" type="submit" :aria-disabled="sending">{{ sending ? "Cancelling …" : "Yes, cancel booking" }}</button>
            <button class="button quiet" type="button" @click="keep">Keep booking</button>
          </div>
        </form>
        <template v-else>
          <h2 id="manage">{{ title }}</h2>
          <ul><li v-for="sentence in sentences" :key="sentence">{{ sentence }}</li></ul>
          <div v-if="mayReschedule || mayCancel" class="actions">
            <a v-if="mayReschedule" class="button" :href="rescheduleUrl">Reschedule</a>
            <button v-if="mayCancel" ref="cancel" class="button quiet danger" type="button" @click="ask(true)">Cancel booking</button>
          </div>
        </template>
      </section>
    </div>`,
  data() {
    return { reason: "" };
  },
  watch: {
    mayCancel(allowed) {
      if (allowed) return;
      this.focusNews();
      this.asking = this.sending = false;
    },
  },
  mounted() {
    // Drop the parameter so that a reload does not show the notice about rescheduling again.
    const url = new URL(location.href);
    if (!url.searchParams.has("rescheduled")) return;
    url.searchParams.delete("rescheduled");
    history.replaceState(null, "", url);
  },
  methods: {
    opener() {
      return this.$refs.cancel;
    },
  },
};
