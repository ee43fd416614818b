// A calendar's private address. Python makes it and gives it up; copying and asking once more happen here.
export default {
  props: { title: String },
  template: `
    <section class="panel feed" :aria-label="title">
      <h3>{{ title }}</h3>
      <p class="soft small">Subscribe once, and your calendar follows by itself. Whoever has the address can read it, so keep it to yourself.</p>
      <div v-if="url" class="form">
        <div class="with-button">
          <input ref="url" class="input" type="text" readonly :value="url" :aria-label="'Address of: ' + title" @focus="$event.target.select()">
          <button class="button quiet" type="button" @click="copy">{{ copied ? "Copied" : "Copy" }}</button>
        </div>
        <div v-if="!asking" class="actions">
          <a class="button" :href="url.replace(/^https?:/, 'webcal:')">Open in calendar app</a>
          <button ref="renew" class="button quiet" type="button" @click="ask('renew')">New address</button>
          <button ref="close" class="button quiet danger" type="button" @click="ask('close')">Stop</button>
        </div>
        <div v-else class="form" @keydown.esc.prevent="keep">
          <p ref="question" tabindex="-1">{{ asking === "renew" ? "Make a new address? Calendars that have the old one get nothing any more." : "Stop it? Calendars that have the address get nothing any more." }}</p>
          <div class="actions">
            <button class="button danger" type="button" :aria-disabled="sending" @click="wish(asking)">{{ asking === "renew" ? "Yes, a new address" : "Yes, stop it" }}</button>
            <button class="button quiet" type="button" @click="keep">Keep it</button>
          </div>
        </div>
      </div>
      <div v-else class="actions"><button ref="open" class="button quiet" type="button" :aria-disabled="sending" @click="wish('open')">Subscribe</button></div>
      <p role="status" class="small" :class="{ soft: !refusal, bad: refusal }">{{ refusal || said }}</p>
    </section>`,
  data() {
    return { url: "", said: "", refusal: "", asking: "", copied: false, sending: false, timer: null };
  },
  methods: {
    async copy() {
      try {
        await navigator.clipboard.writeText(this.url);
      } catch {
        this.$refs.url.select();
        document.execCommand("copy"); // without https there is no clipboard
      }
      this.copied = true;
      this.said = "The address is copied.";
      setTimeout(() => (this.copied = false), 2000);
    },
    ask(what) {
      this.asking = what;
      this.said = this.refusal = "";
      this.$nextTick(() => this.$refs.question.focus());
    },
    keep() {
      const before = this.asking;
      this.asking = "";
      this.$nextTick(() => this.$refs[before]?.focus());
    },
    wish(what) {
      if (this.sending) return;
      this.sending = true;
      this.refusal = "";
      this.timer = setTimeout(() => this.rest("There is no answer. Please look whether you are online, and try again."), 20000);
      this.$emit(what);
    },
    show(url, said) {
      this.rest("");
      this.url = url;
      this.said = said;
      this.asking = "";
      this.copied = false;
      this.$nextTick(() => (this.$refs.url ?? this.$refs.open)?.focus());
    },
    rest(refusal) {
      clearTimeout(this.timer);
      this.sending = false;
      this.refusal = refusal;
    },
  },
};
