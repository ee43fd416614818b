// A countdown that does not depend on the visitor's clock: the server sends the seconds left, and the browser counts
// them down, even in a tab that was suspended.
const RETRY = 2000; // milliseconds until the server is asked again about a hold that has expired

export default {
  props: { now: Object },
  template: `
    <div class="hold" :class="{ last, idle: !held }" :data-hold="now?.state" tabindex="-1" :hidden="!now?.state">
      <template v-if="now?.state">
        <svg class="hold-mark" viewBox="0 0 36 36" aria-hidden="true"><circle cx="18" cy="18" r="15.5"/>
          <path v-if="held || asking || now.state === 'free'" d="M18 10.500v8l4.500 2.700"/><path v-else d="M18 10.500v9.500M18 24.500v.3"/></svg>
        <p v-if="asking"><strong>One moment …</strong>We're putting this time on hold for you.</p>
        <p v-else-if="held"><strong>On hold for you for <span role="timer" aria-live="off" :data-seconds="left">{{ clock }}</span></strong>{{ last ? "Please finish soon to be sure of it." : "No one else can book it until then." }}</p>
        <p v-else><strong>{{ now.title }}</strong>{{ now.text }}</p>
        <button v-if="held" type="button" class="button quiet" @click="$emit('release')">Release this time</button>
        <button v-else-if="now.button" type="button" class="button" @click="$emit('hold')">{{ now.button }}</button>
      </template>
      <span class="sr-only" role="status">{{ announcement }}</span>
    </div>`,
  data() {
    return { left: 0, until: 0, timer: null, announcement: "" };
  },
  computed: {
    held() {
      return this.now?.state === "held";
    },
    asking() {
      return this.now?.state === "asking";
    },
    last() {
      return this.held && this.left <= 60;
    },
    clock() {
      return Math.floor(this.left / 60) + ":" + String(this.left % 60).padStart(2, "0");
    },
  },
  watch: {
    now: {
      immediate: true,
      handler(now, before) {
        clearInterval(this.timer);
        const focused = this.$el?.contains?.(document.activeElement);
        if (this.held) this.start(now.seconds, before?.state === "held");
        else if (now?.state && !this.asking) this.announcement = now.title + " " + now.text;
        // The button with the focus was removed: focus its replacement.
        if (focused && now?.state !== before?.state) this.$nextTick(() => (this.$el.querySelector("button") ?? this.$el).focus());
      },
    },
    last(last) {
      if (this.held) this.announcement = last ? "Your hold expires in one minute." : "";
    },
  },
  unmounted() {
    clearInterval(this.timer);
  },
  methods: {
    start(seconds, again) {
      this.until = performance.now() + 1000 * seconds;
      this.left = Math.max(0, Math.ceil(seconds));
      if (!again) this.announcement = "This time is on hold for you for " + this.length() + ".";
      this.timer = setInterval(this.count, 250);
    },
    count() {
      if (this.left > 0) this.left = Math.max(0, Math.ceil((this.until - performance.now()) / 1000));
      if (performance.now() < this.until) return;
      this.until = performance.now() + RETRY;
      this.$emit("expired");
    },
    length() {
      const minutes = Math.round(this.left / 60);
      return minutes > 1 ? minutes + " minutes" : minutes === 1 ? "one minute" : this.left + " seconds";
    },
  },
};
