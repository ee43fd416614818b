// Two months of days, of which one, several or a range can be selected with the mouse, a finger or the keyboard.
const DAY = 86400000;
const KEYS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };
const date = (iso) => new Date(iso + "T00:00:00Z");
const iso = (day) => day.toISOString().slice(0, 10);
const later = (day, days) => iso(new Date(date(day).getTime() + days * DAY));
const laterMonth = (day, months) => {
  const first = date(day.slice(0, 8) + "01");
  first.setUTCMonth(first.getUTCMonth() + months);
  return iso(first);
};
const inWords = (day, style) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...style }).format(date(day));

export default {
  props: { today: String, last: String, special: String },
  template: `
    <div class="month-days" @keydown="press">
      <div class="month-head">
        <button type="button" class="icon-button" aria-label="Earlier month" :disabled="month <= today" @click="turn(-1)">‹</button>
        <p class="sr-only" aria-live="polite">{{ name(month) }}</p>
        <button type="button" class="icon-button" aria-label="Later month" :disabled="laterMonth(month, 1) > last" @click="turn(1)">›</button>
      </div>
      <table v-for="n in [0, 1]" :key="n" role="grid" aria-multiselectable="true" :aria-labelledby="'month-' + n" @pointerdown="down" @pointermove="over" @pointerup="up" @pointercancel="up">
        <caption :id="'month-' + n">{{ name(laterMonth(month, n)) }}</caption>
        <thead><tr><th v-for="day in ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']" :key="day" scope="col">{{ day }}</th></tr></thead>
        <tbody>
          <tr v-for="week in weeks(laterMonth(month, n))" :key="week[0]">
            <template v-for="day in week" :key="day">
              <td v-if="day.slice(0, 7) !== laterMonth(month, n).slice(0, 7)"></td>
              <td v-else role="gridcell" :data-day="day" :data-kind="marked[day]?.kind" :title="marked[day]?.text" :class="{ today: day === today }" :tabindex="day === focused ? 0 : -1"
                :aria-selected="chosen.includes(day)" :aria-disabled="day < today || day > last ? 'true' : null" :aria-label="label(day)" @focus="focused = day">{{ Number(day.slice(8)) }}</td>
            </template>
          </tr>
        </tbody>
      </table>
    </div>`,
  data() {
    return { month: this.today.slice(0, 8) + "01", focused: this.today, chosen: [], anchor: null, kept: [], dragging: false };
  },
  computed: {
    marked() {
      return JSON.parse(this.special);
    },
  },
  methods: {
    select(days) {
      this.chosen = days;
      if (!days.length) return;
      this.anchor = this.focused = days[0];
      if (!this.isShown(days[0])) this.month = days[0].slice(0, 8) + "01";
    },
    laterMonth,
    name(day) {
      return inWords(day, { month: "long", year: "numeric" });
    },
    label(day) {
      const text = this.marked[day]?.text;
      return inWords(day, { weekday: "long", day: "numeric", month: "long", year: "numeric" }) + (text ? ", " + text : "");
    },
    weeks(first) {
      const start = later(first, -((date(first).getUTCDay() + 6) % 7));
      const count = Math.ceil((date(laterMonth(first, 1)) - date(start)) / DAY / 7);
      return Array.from({ length: count }, (_, week) => Array.from({ length: 7 }, (_, day) => later(start, 7 * week + day)));
    },
    isShown(day) {
      return day >= this.month && day < laterMonth(this.month, 2);
    },
    turn(months) {
      this.month = laterMonth(this.month, months);
      if (!this.isShown(this.focused)) this.focused = this.month < this.today ? this.today : this.month;
    },
    between(one, other) {
      const [first, last] = [one, other].sort();
      const days = [];
      for (let day = first; day <= last; day = later(day, 1)) days.push(day);
      return days;
    },
    extend(day) {
      this.chosen = [...new Set([...this.kept, ...this.between(this.anchor, day)])].sort();
    },
    begin(day, adds) {
      this.kept = adds ? this.chosen.filter((other) => other !== day) : [];
      if (adds && this.chosen.includes(day)) this.chosen = this.kept;
      else {
        this.anchor = day;
        this.extend(day);
      }
    },
    dayAt(event) {
      const day = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-day]")?.dataset.day;
      return day >= this.today && day <= this.last ? day : undefined;
    },
    down(event) {
      const day = this.dayAt(event);
      if (!day || event.button !== 0) return;
      event.preventDefault();
      this.dragging = true;
      if (event.shiftKey && this.anchor) this.extend(day);
      else this.begin(day, event.ctrlKey || event.metaKey);
      this.focus(day);
    },
    over(event) {
      const day = this.dragging && this.dayAt(event);
      if (day && this.anchor) this.extend(day);
    },
    up() {
      if (this.dragging) this.$emit("choose", this.chosen);
      this.dragging = false;
    },
    focus(day) {
      this.focused = day;
      if (!this.isShown(day)) this.month = day < this.month ? day.slice(0, 8) + "01" : laterMonth(day, -1);
      this.$nextTick(() => this.$el.querySelector('[data-day="' + day + '"]')?.focus());
    },
    press(event) {
      if (!event.target.matches("[data-day]")) return;
      const day = this.focused;
      const weekday = (date(day).getUTCDay() + 6) % 7;
      const targets = {
        Home: later(day, -weekday), End: later(day, 6 - weekday),
        PageUp: later(laterMonth(day, -1), Number(day.slice(8)) - 1), PageDown: later(laterMonth(day, 1), Number(day.slice(8)) - 1),
      };
      let to = event.key in KEYS ? later(day, KEYS[event.key]) : targets[event.key];
      if (event.key === " " || event.key === "Enter") {
        event.preventDefault();
        if (day < this.today || day > this.last) return;
        this.begin(day, event.ctrlKey || event.metaKey);
        this.$emit("choose", this.chosen);
      } else if (to) {
        event.preventDefault();
        to = to < this.today ? this.today : to > this.last ? this.last : to;
        if (event.shiftKey) {
          if (!this.anchor || !this.chosen.includes(day)) this.begin(day, false);
          this.extend(to);
          this.$emit("choose", this.chosen);
        }
        this.focus(to);
      }
    },
  },
};
