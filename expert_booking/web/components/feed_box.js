// A calendar's private address. Python creates and deletes it; copying and the confirmation happen here.
import { request } from "question";

export default {
  mixins: [request],
  props: { title: String },
  template: `
    <section class="panel feed" :aria-label="title">
      <h3>{{ title }}</h3>
      <p class="soft small">Subscribe once and your calendar app stays up to date. Anyone with the address can read your calendar, so keep it private.</p>
      <div v-if="url" class="form">
        <div class="with-button">
          <input ref="url" class="input" type="text" readonly :value="url" :aria-label="'Address of: ' + title" @focus="$event.target.select()">
          <button class="button quiet" type="button" @click="copy">{{ copied ? "Copied" : "Copy" }}</button>
        </div>
        <div v-if="!asking" class="actions">
          <a class="button" :href="url.replace(/^https?:/, 'webcal:')">Open in calendar app</a>
          <button ref="renew" class="button quiet" type="button" @click="ask('renew')">New address</button>
          <button ref="close" class="button quiet danger" type="button" @click="ask('close')">Turn off</button>
        </div>
        <div v-else class="form" @keydown.esc.prevent="keep">
          <p ref="question" tabindex="-1">{{ asking === "renew" ? "Create a new address? Calendar apps that use the old one stop updating." : "Turn this address off? Calendar apps that use it stop updating." }}</p>
          <div class="actions">
            <button class="button danger" type="button" :aria-disabled="sending" @click="request(asking)">{{ asking === "renew" ? "Yes, create a new address" : "Yes, turn it off" }}</button>
            <button class="button quiet" type="button" @click="keep">Keep the address</button>
          </div>
        </div>
      </div>
      <div v-else class="actions"><button ref="open" class="button quiet" type="button" :aria-disabled="sending" @click="request('open')">Subscribe</button></div>
      <p role="status" class="small" :class="{ soft: !error, bad: error }">{{ error || message }}</p>
    </section>`,
  data() {
    return { url: "", message: "", asking: "", copied: false };
  },
  methods: {
    async copy() {
      try {
        await navigator.clipboard.writeText(this.url);
      } catch {
        this.$refs.url.select();
        document.execCommand("copy"); // the clipboard API needs https
      }
      this.copied = true;
      this.message = "Address copied.";
      setTimeout(() => (this.copied = false), 2000);
    },
    ask(action) {
      this.asking = action;
      this.message = this.error = "";
      this.$nextTick(() => this.$refs.question.focus());
    },
    keep() {
      const before = this.asking;
      this.asking = "";
      this.$nextTick(() => this.$refs[before]?.focus());
    },
    show(url, message) {
      this.done("");
      this.url = url;
      this.message = message;
      this.asking = "";
      this.copied = false;
      this.$nextTick(() => (this.$refs.url ?? this.$refs.open)?.focus());
    },
  },
};
