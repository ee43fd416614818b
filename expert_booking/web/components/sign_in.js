// Proves an address: it is asked for, a mail goes there, and the code in the mail signs this browser in. What was asked
// for stays in this tab's storage: who comes back from the mail finds the field for the code.
const KEPT = "sign-in";
const REST = 30; // seconds before a mail can be sent again
const NO_ANSWER = "There is no answer. Please look whether you are online, and try again.";

export default {
  props: { next: String, title: String, mails: Boolean, anew: Boolean, emailLength: Number },
  template: `
    <section class="panel sign-in" aria-labelledby="sign-in">
      <h2 id="sign-in">{{ title }}</h2>
      <p v-if="!mails" class="soft">Signing in works by mail, and this site sends none. Whoever runs it can give you a link.</p>
      <form v-else-if="!asked" class="form" novalidate :aria-busy="sending" @submit.prevent="ask">
        <div class="field" :class="{ wrong: errors.email }">
          <label for="email">E-mail</label>
          <div class="with-button">
            <input id="email" ref="email" class="input" type="email" autocomplete="email" placeholder="name@example.com" v-model="email"
              :maxlength="emailLength" required :aria-invalid="errors.email ? 'true' : null" :aria-describedby="errors.email ? 'email-error' : 'email-hint'">
            <button class="button" type="submit" :aria-disabled="sending">{{ sending ? "Sending …" : "Send me a mail" }}</button>
          </div>
          <p v-if="errors.email" class="error" id="email-error" role="alert">{{ errors.email }}</p>
          <p v-else class="hint" id="email-hint">It has a link and a code in it. You need no account and no password.</p>
        </div>
      </form>
      <form v-else class="form" novalidate :aria-busy="sending" @submit.prevent="redeem">
        <p ref="said" tabindex="-1" role="status">If this address is known here, a mail with a link and a code is on its way to <b>{{ asked.email }}</b>. Both count for {{ minutes }} minutes, and once.</p>
        <div class="field" :class="{ wrong: errors.code }">
          <label for="code">Code</label>
          <div class="with-button">
            <input id="code" ref="code" class="input code" type="text" inputmode="text" autocomplete="one-time-code" autocapitalize="characters" autocorrect="off" spellcheck="false" maxlength="20" v-model="code"
              required :aria-invalid="errors.code ? 'true' : null" :aria-describedby="errors.code ? 'code-error' : 'code-hint'">
            <button class="button" type="submit" :aria-disabled="sending">{{ sending ? "Just a moment …" : "Sign in" }}</button>
          </div>
          <p v-if="errors.code" class="error" id="code-error" role="alert">{{ errors.code }}</p>
          <p v-else class="hint" id="code-hint">Six digits, or eight letters and digits. It works in this browser only; the link in the mail opens in any.</p>
        </div>
        <p v-if="errors.email" class="note bad" role="alert">{{ errors.email }}</p>
        <p v-else-if="again" class="note good" role="status">Another mail is on its way. Codes of earlier mails do not fit here any more.</p>
        <div class="actions">
          <button class="button quiet" type="button" :aria-disabled="sending || left > 0" @click="askAgain">{{ left > 0 ? "Send again in " + left + " s" : "Send again" }}</button>
          <button class="button quiet" type="button" @click="other">Other address</button>
        </div>
      </form>
    </section>`,
  data() {
    let asked = null;
    try {
      asked = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    } catch {}
    if (!(Date.parse(asked?.expiresAt) > Date.now() - 60000)) asked = null;
    const email = asked?.email ?? "";
    if (this.anew) asked = null;
    return { asked, email, code: "", errors: {}, sending: false, again: false, left: 0, clock: null };
  },
  computed: {
    minutes() {
      return this.asked.minutes ?? 15;
    },
  },
  mounted() {
    if (this.asked) this.rest();
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
      this.asked = { id: answer.id, email, expiresAt: answer.expiresAt, minutes, at: Date.now() };
      sessionStorage.setItem(KEPT, JSON.stringify(this.asked));
      this.code = "";
      this.rest();
      this.$nextTick(() => this.$refs.code?.focus());
    },
    async askAgain() {
      if (this.sending || this.left > 0) return;
      this.again = false;
      const before = this.asked.id;
      await this.ask();
      this.again = this.asked.id !== before;
    },
    async redeem() {
      window.leaving = true; // with the answer the other pages of this browser are loaded again, and this one leaves
      const answer = await this.post("/sign-in/code", { id: this.asked.id, code: this.code });
      window.leaving = Boolean(answer);
      if (!answer) return;
      sessionStorage.removeItem(KEPT);
      this.sending = true; // until the next page is here
      location.assign(answer.next);
    },
    other() {
      sessionStorage.removeItem(KEPT);
      this.asked = null;
      this.errors = {};
      this.again = false;
      this.$nextTick(() => this.$refs.email.select());
    },
    async post(url, body) {
      if (this.sending) return null;
      this.sending = true;
      this.errors = {};
      const field = url.endsWith("code") ? "code" : "email";
      let answer = null;
      try {
        const response = await fetch(url, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(20000),
        });
        const said = await response.json();
        if (response.ok) answer = said;
        else this.errors = Object.fromEntries((said.errors ?? [{ field, message: said.detail }]).map((e) => [e.field in { email: 1, code: 1 } ? e.field : field, e.message]));
      } catch {
        this.errors = { [field]: NO_ANSWER };
      }
      this.sending = false;
      if (!answer) this.$nextTick(() => this.$refs[this.errors.code ? "code" : "email"]?.focus());
      return answer;
    },
    rest() {
      clearInterval(this.clock);
      const tick = () => {
        this.left = Math.max(0, REST - Math.floor((Date.now() - this.asked?.at) / 1000)) || 0;
        if (this.left === 0) clearInterval(this.clock);
      };
      tick();
      this.clock = setInterval(tick, 1000);
    },
  },
};
