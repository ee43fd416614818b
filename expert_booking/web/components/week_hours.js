// The hours of a week: a grid to paint on, and the same as text fields. Python reads what is typed and owns the hours.
const STEP = 15; // minutes
const DAY = 1440;
const SHOWN = 1800; // minutes in a column: until 06:00 of the next day
const EDGE = 8; // pixels
const CLICKED = 60; // minutes that a click adds

const clock = (minutes) => {
  const shown = minutes <= DAY ? minutes : minutes - DAY;
  return String(Math.floor(shown / 60)).padStart(2, "0") + ":" + String(shown % 60).padStart(2, "0");
};
// The windows with another one, which absorbs those that it touches.
const joined = (windows, added) => {
  let [opens, closes] = added;
  const touches = ([start, end]) => start <= closes && opens <= end;
  for (let found; (found = windows.find(touches)); ) {
    windows = windows.filter((window) => window !== found);
    [opens, closes] = [Math.min(opens, found[0]), Math.max(closes, found[1])];
  }
  return [...windows, [opens, Math.min(closes, opens + DAY)]].sort((one, other) => one[0] - other[0]);
};

export default {
  props: { days: Array, label: String },
  template: `
    <div class="week-hours"><div class="week-columns">
      <div class="paint" aria-hidden="true">
        <div class="paint-head"><span></span><b v-for="day in days" :key="day.name">{{ day.name.slice(0, 3) }}</b></div>
        <div class="paint-body">
          <div class="paint-times"><span v-for="hour in 29" :key="hour" :style="{ top: at(hour * 60) }" v-show="hour % 2 === 0">{{ time(hour * 60) }}</span></div>
          <div ref="columns" class="paint-columns" @pointerdown="start" @pointermove="drag" @pointerup="drop" @pointercancel="cancel" @lostpointercapture="cancel">
            <div v-for="(day, index) in days" :key="day.name" class="paint-day" :data-paint="day.name" :class="{ wrong: day.error }">
              <i class="paint-next" :style="{ top: at(1440) }"></i>
              <i v-for="(window, n) in spill(index)" :key="'s' + n" class="paint-spill" :style="{ height: at(window[1] - 1440) }"></i>
              <div v-for="(window, n) in shown[index]" :key="n" class="paint-window" :class="{ short: window[1] - window[0] < 60 }" :data-window="n" :style="{ top: at(window[0]), height: at(Math.min(window[1], ${SHOWN}) - window[0]) }">
                <i class="edge" data-edge="0"></i>
                <span><b>{{ time(window[0]) }}</b><b>–{{ time(window[1]) }}</b></span>
                <i class="edge" data-edge="1"></i>
                <button type="button" tabindex="-1" class="remove" title="Remove" @pointerdown.stop @click="remove(index, n)">×</button>
              </div>
            </div>
          </div>
        </div>
        <p class="paint-hint soft small">Drag over one day or several to add hours, drag an edge to change them. Hours may run past midnight.</p>
      </div>
      <fieldset class="day-fields">
        <legend>{{ label }}</legend>
        <div v-for="(day, index) in days" :key="day.name" class="field" :class="{ wrong: day.error }">
          <div class="day-field">
            <label :for="'hours-' + index">{{ day.name }}</label><i v-if="day.changed" class="unsaved" title="Not saved yet" aria-hidden="true"></i>
            <input :id="'hours-' + index" class="input" autocomplete="off" maxlength="400" placeholder="Closed" :value="editing[index] ?? day.text" :aria-invalid="day.error ? 'true' : null"
              :aria-describedby="day.error ? 'hours-error-' + index : 'hours-hint'" @input="editing[index] = $event.target.value" @change="commit(index, $event.target.value)">
            <button type="button" class="link" :ref="(button) => (copyButtons[index] = button)" :aria-expanded="copying === index" @click="openCopy(index)">Copy<span class="sr-only"> {{ day.name }} to …</span></button>
          </div>
          <p v-if="day.error" class="error" :id="'hours-error-' + index">{{ day.error }}</p>
          <fieldset v-if="copying === index" class="copy-days" @keydown.esc.prevent.stop="closeCopy">
            <legend>Copy {{ day.name }} to …</legend>
            <div>
              <template v-for="(other, n) in days" :key="other.name">
                <label v-if="n !== index" class="check"><input type="checkbox" :value="n" v-model="targets"><span>{{ other.name }}</span></label>
              </template>
            </div>
            <div class="actions">
              <button type="button" class="button" :disabled="!targets.length" @click="copy">Copy</button>
              <button type="button" class="button quiet" @click="closeCopy">Cancel</button>
            </div>
          </fieldset>
        </div>
        <p class="hint soft small" id="hours-hint">For example 09:00–12:30, 14:00–18:00. Leave a day empty to close it.</p>
      </fieldset>
    </div></div>`,
  data() {
    return { editing: {}, committed: {}, moving: null, waiting: null, copying: null, targets: [], copyButtons: [] };
  },
  computed: {
    shown() {
      const changed = this.moving ? this.result(this.moving) : (this.waiting ?? {});
      return this.days.map((day, index) => changed[index] ?? day.windows);
    },
  },
  watch: {
    days() {
      this.waiting = null;
      for (const index of Object.keys(this.editing))
        if (this.editing[index] === this.committed[index] || document.activeElement?.id !== "hours-" + index) delete this.editing[index];
    },
  },
  mounted() {
    window.addEventListener("keydown", this.escape);
  },
  unmounted() {
    window.removeEventListener("keydown", this.escape);
  },
  methods: {
    time: clock,
    at(minutes) {
      return (100 * minutes) / SHOWN + "%";
    },
    // Hours of the day before that end on this one.
    spill(index) {
      return this.shown[(index + 6) % 7].filter((window) => window[1] > DAY);
    },
    place(event) {
      const box = this.$refs.columns.getBoundingClientRect();
      const minute = Math.round(((event.clientY - box.top) / box.height) * SHOWN / STEP) * STEP;
      const day = Math.floor(((event.clientX - box.left) / box.width) * 7);
      return { day: Math.min(6, Math.max(0, day)), minute: Math.min(SHOWN, Math.max(0, minute)) };
    },
    start(event) {
      if (event.button !== 0) return;
      event.preventDefault();
      const { day, minute } = this.place(event);
      const block = event.target.closest("[data-window]");
      const edge = block ? this.edgeAt(block.getBoundingClientRect(), event.clientY) : null;
      if (!block && minute >= DAY) return;
      this.$refs.columns.setPointerCapture(event.pointerId);
      const window = block ? Number(block.dataset.window) : null;
      this.moving = { kind: edge !== null ? "edge" : block ? "move" : "paint", edge, window, day, minute, toDay: day, toMinute: minute };
    },
    // 0 near the top, 1 near the bottom, null in between.
    edgeAt(box, y) {
      const reach = Math.min(EDGE, box.height / 3);
      return y - box.top <= reach ? 0 : box.bottom - y <= reach ? 1 : null;
    },
    drag(event) {
      if (!this.moving) return;
      const { day, minute } = this.place(event);
      Object.assign(this.moving, { toDay: day, toMinute: minute });
    },
    drop() {
      if (!this.moving) return;
      const moving = this.moving;
      this.moving = null;
      if (moving.kind !== "paint" && moving.minute === moving.toMinute) return;
      this.send(this.result(moving));
    },
    cancel() {
      this.moving = null;
    },
    escape(event) {
      if (event.key === "Escape") this.cancel();
    },
    // The windows of the days that a drag changes.
    result({ kind, edge, window, day, minute, toDay, toMinute }) {
      if (kind === "paint") {
        const clicked = minute === toMinute && day === toDay;
        const opens = Math.min(minute, toMinute, DAY - STEP);
        const closes = clicked ? opens + CLICKED : Math.max(minute, toMinute, opens + STEP);
        const [first, last] = [Math.min(day, toDay), Math.max(day, toDay)];
        const days = Array.from({ length: last - first + 1 }, (_, n) => first + n);
        return Object.fromEntries(days.map((index) => [index, joined(this.days[index].windows, [opens, closes])]));
      }
      let [opens, closes] = this.days[day].windows[window];
      const others = this.days[day].windows.filter((_, n) => n !== window);
      if (kind === "edge" && edge === 0) opens = Math.min(Math.max(toMinute, closes - DAY, 0), closes - 1, DAY - STEP);
      else if (kind === "edge") closes = Math.max(opens + 1, Math.min(toMinute, opens + DAY));
      else {
        const by = Math.min(Math.max(toMinute - minute, -opens), DAY - STEP - opens);
        [opens, closes] = [opens + by, closes + by];
      }
      return { [day]: joined(others, [opens, closes]) };
    },
    remove(day, window) {
      this.send({ [day]: this.days[day].windows.filter((_, n) => n !== window) });
    },
    send(changed) {
      this.waiting = changed;
      this.editing = {};
      this.$emit("hours", changed);
    },
    commit(index, text) {
      this.committed[index] = text;
      this.$emit("typed", { day: index, text });
    },
    openCopy(index) {
      this.targets = [];
      this.copying = this.copying === index ? null : index;
      if (this.copying !== null) this.$nextTick(() => this.$el.querySelector(".copy-days input").focus());
    },
    closeCopy() {
      const button = this.copyButtons[this.copying];
      this.copying = null;
      button?.focus();
    },
    copy() {
      this.editing = {};
      this.$emit("copy", { day: this.copying, to: this.targets });
      this.closeCopy();
    },
  },
};
