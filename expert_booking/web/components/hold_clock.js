// A countdown that never asks the visitor's clock what time it is: the server says how many seconds are left, and the
// browser counts them, also in a tab that sleeps.
const ASK = 2000; // milliseconds until the server is asked again what became of a hold that is over

export default {
  props: { now: Object },
  template: `
    <div class="hold" :class="{ last, idle: !held }" :data-hold="now?.keeping" tabindex="-1" :hidden="!now?.keeping">
      <template v-if="now?.keeping">
        <svg class="hold-mark" viewBox="0 0 36 36" aria-hidden="true"><circle cx="18" cy="18" r="15.5"/>
          <path v-if="held || asking || now.keeping === 'free'" d="M18 10.500v8l4.500 2.700"/><path v-else d="M18 10.500v9.500M18 24.500v.3"/></svg>
        <p v-if="asking"><strong>One moment …</strong>This time is about to be kept for you.</p>
        <p v-else-if="held"><strong>Kept for you for <span role="timer" aria-live="off" :data-seconds="left">{{ clock }}</span></strong>{{ last ? "Please finish soon to be sure of it." : "Nobody else can book it meanwhile." }}</p>
        <p v-else><strong>{{ now.title }}</strong>{{ now.text }}</p>
        <button v-if="held" type="button" class="button quiet" @click="$emit('release')">Release this time</button>
        <button v-else-if="now.button" type="button" class="button" @click="$emit('keep')">{{ now.button }}</button>
      </template>
      <span class="sr-only" role="status">{{ said }}</span>
    </div>`,
  data() {
    return { left: 0, until: 0, timer: null, said: "" };
  },
  computed: {
    held() {
      return this.now?.keeping === "held";
    },
    asking() {
      return this.now?.keeping === "asking";
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
        if (this.held) this.start(now.seconds, before?.keeping === "held");
        else if (now?.keeping && !this.asking) this.said = now.title + " " + now.text;
        // The button that was pressed is gone: what came in its place is next.
        if (focused && now?.keeping !== before?.keeping) this.$nextTick(() => (this.$el.querySelector("button") ?? this.$el).focus());
      },
    },
    last(last) {
      if (this.held) this.said = last ? "One minute left of the time kept for you." : "";
    },
  },
  unmounted() {
    clearInterval(this.timer);
  },
  methods: {
    start(seconds, again) {
      this.until = performance.now() + 1000 * seconds;
      this.left = Math.max(0, Math.ceil(seconds));
      if (!again) this.said = "This time is kept for you for " + this.length() + ".";
      this.timer = setInterval(this.count, 250);
    },
    count() {
      if (this.left > 0) this.left = Math.max(0, Math.ceil((this.until - performance.now()) / 1000));
      if (performance.now() < this.until) return;
      this.until = performance.now() + ASK;
      this.$emit("over");
    },
    length() {
      const minutes = Math.round(this.left / 60);
      return minutes > 1 ? minutes + " minutes" : minutes === 1 ? "one minute" : this.left + " seconds";
    },
  },
};
