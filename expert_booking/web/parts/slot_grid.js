// The slot board. Python says what to show; what changes afterwards is heard here, as (start, state) with a version.
const STATES = { open: "free", held: "being booked by somebody", booked: "booked" };
const HEARD = 60; // news kept, for a board that was read before them but arrives after them

export default {
  props: { board: String, bookUrl: String },
  template: `
    <section aria-labelledby="times" class="panel">
      <div class="board-head">
        <div>
          <h2 id="times">Choose a time</h2>
          <p v-if="shown">Times in <b>{{ shown.zone }}</b><template v-if="shown.expertZone">; the expert is in {{ shown.expertZone }}</template></p>
          <p v-else>Looking for free times …</p>
        </div>
        <div class="pager" role="group" aria-label="Weeks" v-if="shown">
          <button type="button" :disabled="!shown.earlier" @click="go(shown.earlier)" aria-label="Earlier week">←</button>
          <span class="nowrap">{{ shown.range }}</span>
          <button type="button" :disabled="!shown.later" @click="go(shown.later)" aria-label="Later week">→</button>
        </div>
      </div>
      <p class="sr-only" role="status" aria-live="polite">{{ said }}</p>
      <template v-if="!shown">
        <div class="week" aria-hidden="true" v-for="week in 2">
          <div class="day" v-for="day in 7"><h3><span class="bone" style="display:block;height:2.2rem"></span></h3>
            <ul><li v-for="slot in 4" class="bone" style="height:2.6rem"></li></ul></div>
        </div>
      </template>
      <template v-else>
        <div v-if="nothingFree" class="note" style="margin-bottom:1rem">
          <strong>Nothing is free in these two weeks.</strong>
          <template v-if="shown.next">The next free time is <a href="#" @click.prevent="go(shown.next.day)">{{ shown.next.text }}</a>.</template>
          <template v-else>There is no free time until the end of this calendar. It changes here by itself when one comes up.</template>
        </div>
        <div class="week" v-for="week in shown.weeks" :key="week[0].date">
          <div class="day" v-for="day in week" :key="day.date" :class="{ today: day.today }">
            <h3 :id="'d' + day.date"><span class="sr-only">{{ day.long }}</span><span aria-hidden="true">{{ day.name }}<small>{{ day.today ? "Today" : day.short }}</small></span></h3>
            <ul v-if="day.slots.some((slot) => slot[0] in states)" :aria-labelledby="'d' + day.date">
              <template v-for="slot in day.slots" :key="slot[0]">
                <li v-if="slot[0] in states">
                  <button type="button" class="slot" :class="{ fresh: slot[0] in fresh }" :data-slot="slot[0]" :data-state="states[slot[0]]"
                    :disabled="states[slot[0]] !== 'open'" :aria-label="name(slot, day)" @click="book(slot[0])">{{ slot[1] }}<small v-if="states[slot[0]] === 'held'">being booked</small></button>
                </li>
              </template>
            </ul>
            <p v-else class="none" aria-label="No times">–</p>
          </div>
        </div>
        <p class="legend" aria-hidden="true"><span><i></i>free</span><span><i class="booked"></i>booked</span><span>Changes appear here by themselves.</span></p>
      </template>
    </section>`,
  data() {
    return { shown: null, states: {}, fresh: {}, said: "", heard: [], version: 0 };
  },
  computed: {
    nothingFree() {
      return !Object.values(this.states).includes("open");
    },
  },
  created() {
    if (this.board) this.show(this.board);
  },
  mounted() {
    this.$nextTick(() => window.socket.on("slots", this.hear));
  },
  unmounted() {
    window.socket?.off("slots", this.hear);
  },
  methods: {
    show(snapshot) {
      const board = JSON.parse(snapshot);
      this.shown = Object.freeze({ ...board }); // a copy: what comes as a prop is a proxy, and must not be frozen
      this.version = board.version;
      this.states = Object.fromEntries(board.weeks.flat().flatMap((day) => day.slots.map((slot) => [slot[0], slot[2]])));
      this.fresh = {};
      const later = this.heard.filter((news) => news.expert === board.expert && news.version > board.version);
      later.forEach(this.apply);
    },
    hear(news) {
      if (this.shown && news.expert !== this.shown.expert) return;
      this.heard = [...this.heard, news].slice(-HEARD);
      if (this.shown) this.apply(news);
    },
    apply(news) {
      if (news.version <= this.version) return;
      if (news.version > this.version + 1) return this.$emit("stale");
      this.version = news.version;
      for (const [start, state] of news.changes) this.change(start, state);
    },
    change(start, state) {
      if (state === "gone") delete this.states[start];
      else if (start in this.states) {
        this.states[start] = state;
        this.fresh[start] = true;
        setTimeout(() => delete this.fresh[start], 2000);
        this.say(start, state);
      } else if (start >= this.shown.since && start < this.shown.until) this.$emit("stale"); // new hours
    },
    say(start, state) {
      for (const day of this.shown.weeks.flat())
        for (const slot of day.slots) if (slot[0] === start) this.said = day.long + ", " + slot[1] + " is now " + STATES[state] + ".";
    },
    name(slot, day) {
      return slot[1] + ", " + day.long + ", " + this.shown.zone + ", " + STATES[this.states[slot[0]]];
    },
    book(start) {
      window.location.href = this.bookUrl + "?at=" + encodeURIComponent(start);
    },
    go(day) {
      this.$emit("week", day);
      history.replaceState(null, "", "?from=" + day);
    },
  },
};
