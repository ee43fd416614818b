// What the customer can do with a booking. Python says what is allowed right now; whether to cancel is asked here.
export default {
  props: { sentences: Array, when: Object, mayReschedule: Boolean, mayCancel: Boolean, rescheduleUrl: String, reasonLength: Number },
  template: `
    <div class="manage">
      <p v-if="refusal" class="note bad" role="alert" data-refusal="cancel">{{ refusal }}</p>
      <section v-if="sentences.length" class="panel" :aria-labelledby="asking ? 'question' : 'manage'">
        <form v-if="asking" class="form" :aria-busy="sending" @submit.prevent="send" @keydown.esc.prevent="keep">
          <div>
            <h2 id="question" ref="question" tabindex="-1">Cancel this booking?</h2>
            <p>{{ when.day }}, <span class="nowrap">{{ when.time }}</span>, {{ when.zone }}.</p>
            <p>Others can book this time then; there is no way back.</p>
          </div>
          <div class="field">
            <label for="reason">Reason<span> (optional)</span></label>
            <textarea id="reason" class="input" v-model="reason" :maxlength="reasonLength" aria-describedby="reason-hint"></textarea>
            <p class="hint" id="reason-hint">The expert can read it.</p>
          </div>
          <div class="actions">
            <button class="button danger" type="submit" :aria-disabled="sending">{{ sending ? "Cancelling …" : "Yes, cancel it" }}</button>
            <button class="button quiet" type="button" @click="keep">Keep it</button>
          </div>
        </form>
        <template v-else>
          <h2 id="manage">Change or cancel</h2>
          <ul><li v-for="sentence in sentences" :key="sentence">{{ sentence }}</li></ul>
          <div v-if="mayReschedule || mayCancel" class="actions">
            <a v-if="mayReschedule" class="button" :href="rescheduleUrl">Move to another time</a>
            <button v-if="mayCancel" ref="cancel" class="button quiet danger" type="button" @click="ask">Cancel booking</button>
          </div>
        </template>
      </section>
    </div>`,
  data() {
    return { asking: false, sending: false, reason: "", refusal: "", timer: null };
  },
  watch: {
    mayCancel(may) {
      if (may) return;
      // What had the focus is about to go: what has happened is said above.
      if (this.$el.contains(document.activeElement)) this.$nextTick(() => document.getElementById("news")?.focus());
      this.asking = this.sending = false;
    },
  },
  mounted() {
    // That it has just been moved is said once, and not again after a reload.
    const here = new URL(location.href);
    if (!here.searchParams.has("rescheduled")) return;
    here.searchParams.delete("rescheduled");
    history.replaceState(null, "", here);
  },
  methods: {
    ask() {
      this.asking = true;
      this.refusal = "";
      this.$nextTick(() => this.$refs.question.focus());
    },
    keep() {
      if (this.sending) return;
      this.asking = false;
      this.refusal = "";
      this.$nextTick(() => this.$refs.cancel?.focus());
    },
    send() {
      if (this.sending) return;
      this.sending = true;
      this.refusal = "";
      // An answer that never comes must not lock the question.
      this.timer = setTimeout(() => this.rest("There is no answer. Please look whether you are online, and try again."), 20000);
      this.$emit("cancel", this.reason);
    },
    rest(refusal) {
      clearTimeout(this.timer);
      this.sending = false;
      this.refusal = refusal;
    },
  },
};
