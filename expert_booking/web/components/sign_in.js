// Proves an email address: the visitor enters it, we email a code, and the code signs this browser in. The request is
// kept in this tab's storage, so the field for the code is still there when the visitor comes back from their inbox.
import { NO_RESPONSE } from "question";

const STORAGE_KEY = "sign-in";
const RESEND_SECONDS = 30;

export default {
  props: { next: String, title: String, mails: Boolean, startOver: Boolean, emailLength: Number },
  template: `
    <section class="panel sign-in" aria-labelledby="sign-in">
      <h2 id="sign-in">{{ title }}</h2>
      <p v-if="!mails" class="soft">Signing in needs email, and this site does not send any. Ask the site's administrator for a link.</p>
      <form v-else-if="!request" class="form" novalidate :aria-busy="sending" @submit.prevent="ask">
        <div class="field" :class="{ wrong: errors.email }">
          <label for="email">Email</label>
          <div class="with-button">
            <input id="email" ref="email" class="input" type="email" autocomplete="email" placeholder="name@example.com" v-model="email"
              :maxlength="emailLength" required :aria-invalid="errors.email ? 'true' : null" :aria-describedby="errors.email ? 'email-error' : 'email-hint'">
            <button class="button" type="submit" :aria-disabled="sending">{{ sending ? "Sending …" : "Email me a link" }}</button>
          </div>
          <p v-if="errors.email" class="error" id="email-error" role="alert">{{ errors.email }}</p>
          <p v-else class="hint" id="email-hint">We'll send you a link and a code. No account or password needed.</p>
        </div>
      </form>
      <form v-else class="form" novalidate :aria-busy="sending" @submit.prevent="redeem">
        <p tabindex="-1" role="status">If this address is known here, we're emailing a link and a code to <b>{{ request.email }}</b>. Both work once, within {{ minutes }} minutes.</p>
        <div class="field" :class="{ wrong: errors.code }">
          <label for="code">Code</label>
          <div class="with-button">
            <input id="code" ref="code" class="input code" type="text" inputmode="text" autocomplete="one-time-code" autocapitalize="characters" autocorrect="off" spellcheck="false" maxlength="20" v-model="code"
              required :aria-invalid="errors.code ? 'true' : null" :aria-describedby="errors.code ? 'code-error' : 'code-hint'">
            <button class="button" type="submit" :aria-disabled="sending">{{ sending ? "Just a moment …" : "Sign in" }}</button>
          </div>
          <p v-if="errors.code" class="error" id="code-error" role="alert">{{ errors.code }}</p>
          <p v-else class="hint" id="code-hint">Six digits, or eight letters and digits. The code works only in this browser; the link works in any.</p>
        </div>
        <p v-if="errors.email" class="note bad" role="alert">{{ errors.email }}</p>
        <p v-else-if="resent" class="note good" role="status">We're sending another email. Codes from earlier emails no longer work here.</p>
        <div class="actions">
          <button class="button quiet" type="button" :aria-disabled="sending || left > 0" @click="resend">{{ left > 0 ? "Send again in " + left + " s" : "Send again" }}</button>
          <button class="button quiet" type="button" @click="other">Use another address</button>
        </div>
      </form>
    </section>`,
  data() {
    let request = null;
    try {
      request = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? "null");
    } catch {}
    if (!(Date.parse(request?.expiresAt) > Date.now() - 60000)) request = null;
    const email = request?.email ?? "";
    if (this.startOver) request = null;
    return { request, email, code: "", errors: {}, sending: false, resent: false, left: 0, clock: null };
  },
  computed: {
    minutes() {
      return this.request.minutes ?? 15;
    },
  },
  mounted() {
    if (this.request) this.startCountdown();
  },
  beforeUnmount() {
    clearInterval(this.clock);
  },
  methods: {
    async ask() {
      const email = this.email.trim();
      const answer = await this.post("/sign-in/ask", { email, nextPath: this.next });
      if (!answer) return;
      const minutes = Math.max(1, Math.round((Date.parse(answer.expiresAt) - Date.now()) / 60000));
      this.request = { id: answer.id, email, expiresAt: answer.expiresAt, minutes, at: Date.now() };
      sessionStorage.setItem(STORAGE_KEY, JSON.stringify(this.request));
      this.code = "";
      this.startCountdown();
      this.$nextTick(() => this.$refs.code?.focus());
    },
    async resend() {
      if (this.sending || this.left > 0) return;
      this.resent = false;
      const before = this.request.id;
      await this.ask();
      this.resent = this.request.id !== before;
    },
    async redeem() {
      window.leaving = true; // signing in reloads this browser's other pages; this one goes to the next page instead
      const answer = await this.post("/sign-in/code", { id: this.request.id, code: this.code });
      window.leaving = Boolean(answer);
      if (!answer) return;
      sessionStorage.removeItem(STORAGE_KEY);
      this.sending = true; // until the next page has loaded
      location.assign(answer.next);
    },
    other() {
      sessionStorage.removeItem(STORAGE_KEY);
      this.request = null;
      this.errors = {};
      this.resent = false;
      this.$nextTick(() => this.$refs.email.select());
    },
    async post(url, data) {
      if (this.sending) return null;
      this.sending = true;
      this.errors = {};
      const field = url.endsWith("code") ? "code" : "email";
      let answer = null;
      try {
        const response = await fetch(url, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(data),
          signal: AbortSignal.timeout(20000),
        });
        const body = await response.json();
        if (response.ok) answer = body;
        else this.errors = Object.fromEntries((body.errors ?? [{ field, message: body.detail }]).map((e) => [e.field in { email: 1, code: 1 } ? e.field : field, e.message]));
      } catch {
        this.errors = { [field]: NO_RESPONSE };
      }
      this.sending = false;
      if (!answer) this.$nextTick(() => this.$refs[this.errors.code ? "code" : "email"]?.focus());
      return answer;
    },
    startCountdown() {
      clearInterval(this.clock);
      const tick = () => {
        this.left = Math.max(0, RESEND_SECONDS - Math.floor((Date.now() - this.request?.at) / 1000)) || 0;
        if (this.left === 0) clearInterval(this.clock);
      };
      tick();
      this.clock = setInterval(tick, 1000);
    },
  },
};
