// Asks for the code in the email that confirms the customer's address, with a countdown. Python checks the code.
const RESEND_SECONDS = 30;
const NO_RESPONSE = "No response. Check your connection and try again.";

export default {
  props: { now: Object },
  template: `
    <div class="verify">
      <section v-if="now" aria-labelledby="verify">
        <div class="booking-head">
          <div class="done-mark wait" aria-hidden="true"><svg width="30" height="30" viewBox="0 0 30 30" fill="none" stroke="currentColor"
            stroke-width="2.600" stroke-linecap="round" stroke-linejoin="round"><rect x="4" y="7" width="22" height="16" rx="3"/><path d="m5 9 10 8 10-8"/></svg></div>
          <h1 id="verify">Confirm your email address</h1>
          <p v-if="!['failed', 'withheld'].includes(now.mail)">{{ now.mail === "sent" ? "We've sent" : "We're sending" }} a six-digit code to <b>{{ now.email }}</b>. Enter it here, or use the button in the email. The time is reserved for you until then.</p>
        </div>
        <form class="panel form" novalidate :aria-busy="sending" @submit.prevent="verify">
          <p v-if="now.mail === 'failed'" class="note bad" role="alert" data-mail="failed">We couldn't deliver the email with your code to <b>{{ now.email }}</b>. If the address is wrong, please cancel this booking and book again.</p>
          <p class="verify-by" :class="{ last }"><span>Confirm by <strong>{{ now.by }}</strong></span><span role="timer" aria-live="off" :data-seconds="left">{{ clock }} left</span></p>
          <div class="field" :class="{ wrong: error }">
            <label for="code">Code</label>
            <div class="with-button">
              <input id="code" ref="code" class="input code" type="text" inputmode="numeric" autocomplete="one-time-code" autocorrect="off" spellcheck="false" maxlength="20" v-model="code"
                autofocus required :aria-invalid="error ? 'true' : null" :aria-describedby="error ? 'code-error' : 'code-hint'">
              <button class="button" type="submit" :aria-disabled="sending">{{ sending ? "Just a moment …" : "Confirm booking" }}</button>
            </div>
            <p v-if="error" class="error" id="code-error" role="alert">{{ error }}</p>
            <p v-else class="hint" id="code-hint">Six digits. Nothing there? Look in your spam folder.</p>
          </div>
          <p v-if="note" class="note" :class="note.good ? 'good' : 'bad'" role="status">{{ note.text }}</p>
          <div class="actions"><button class="button quiet" type="button" :aria-disabled="resending || wait > 0" @click="resend">{{ wait > 0 ? "Send again in " + wait + " s" : "Send again" }}</button></div>
        </form>
      </section>
      <span class="sr-only" role="status">{{ announcement }}</span>
    </div>`,
  data() {
    return { code: "", error: "", note: null, sending: false, resending: false, timer: null, resendTimer: null, clockTimer: null, until: 0, left: 0, resendAt: 0, wait: 0, announcement: "" };
  },
  computed: {
    clock() {
      return Math.floor(this.left / 60) + ":" + String(this.left % 60).padStart(2, "0");
    },
    last() {
      return this.left <= 60;
    },
  },
  watch: {
    now: {
      immediate: true,
      handler(now, before) {
        clearInterval(this.clockTimer);
        if (!now) {
          // The field with the focus is removed: move the focus to the notice that says why.
          if (before && this.$el?.contains?.(document.activeElement)) this.$nextTick(() => document.getElementById("news")?.focus());
          return;
        }
        // The server sends the seconds left, so the visitor's clock does not matter.
        this.until = performance.now() + 1000 * now.seconds;
        if (!before) this.resendAt = performance.now() + 1000 * RESEND_SECONDS;
        this.count();
        this.clockTimer = setInterval(this.count, 250);
        if (!before) this.$nextTick(() => this.$refs.code?.focus({ preventScroll: true }));
      },
    },
    last(last) {
      if (this.now && last && this.left > 0) this.announcement = "One minute left to confirm your booking.";
    },
  },
  unmounted() {
    clearInterval(this.clockTimer);
    clearTimeout(this.timer);
    clearTimeout(this.resendTimer);
  },
  methods: {
    count() {
      this.left = Math.max(0, Math.ceil((this.until - performance.now()) / 1000));
      this.wait = Math.max(0, Math.ceil((this.resendAt - performance.now()) / 1000));
    },
    verify() {
      if (this.sending) return;
      this.sending = true;
      this.error = "";
      this.note = null;
      // A response that never comes must not lock the form.
      this.timer = setTimeout(() => this.done(NO_RESPONSE), 20000);
      this.$emit("verify", this.code);
    },
    done(error) {
      clearTimeout(this.timer);
      this.sending = false;
      this.error = error;
      if (!error) {
        this.code = "";
        return;
      }
      this.$nextTick(() => {
        this.$refs.code?.focus();
        this.$refs.code?.select();
      });
    },
    resend() {
      if (this.resending || this.wait > 0) return;
      this.resending = true;
      this.note = null;
      this.resendTimer = setTimeout(() => this.resent(NO_RESPONSE), 20000);
      this.$emit("resend");
    },
    resent(error) {
      clearTimeout(this.resendTimer);
      this.resending = false;
      this.note = error ? { text: error } : { text: "We're sending the email again. The code is the same.", good: true };
      if (error) return;
      this.resendAt = performance.now() + 1000 * RESEND_SECONDS;
      this.count();
    },
  },
};
