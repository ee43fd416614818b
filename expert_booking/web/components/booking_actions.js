// What the customer can do with a booking. Python decides what is allowed now; cancelling is confirmed here.
export default {
  props: { title: String, sentences: Array, when: Object, mayReschedule: Boolean, mayCancel: Boolean, rescheduleUrl: String, reasonLength: Number },
  template: `
    <div class="manage">
      <p v-if="error" class="note bad" role="alert" data-refusal="cancel">{{ error }}</p>
      <section v-if="sentences.length" class="panel" :aria-labelledby="asking ? 'question' : 'manage'">
        <form v-if="asking" class="form" :aria-busy="sending" @submit.prevent="send" @keydown.esc.prevent="keep">
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
            <button v-if="mayCancel" ref="cancel" class="button quiet danger" type="button" @click="ask">Cancel booking</button>
          </div>
        </template>
      </section>
    </div>`,
  data() {
    return { asking: false, sending: false, reason: "", error: "", timer: null };
  },
  watch: {
    mayCancel(allowed) {
      if (allowed) return;
      // The focused element is about to disappear, so move the focus to the notice that explains why.
      if (this.$el.contains(document.activeElement)) this.$nextTick(() => document.getElementById("news")?.focus());
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
    ask() {
      this.asking = true;
      this.error = "";
      this.$nextTick(() => this.$refs.question.focus());
    },
    keep() {
      if (this.sending) return;
      this.asking = false;
      this.error = "";
      this.$nextTick(() => this.$refs.cancel?.focus());
    },
    send() {
      if (this.sending) return;
      this.sending = true;
      this.error = "";
      // A response that never comes must not lock the question.
      this.timer = setTimeout(() => this.done("No response. Check your connection and try again."), 20000);
      this.$emit("cancel", this.reason);
    },
    done(error) {
      clearTimeout(this.timer);
      this.sending = false;
      this.error = error;
    },
  },
};
