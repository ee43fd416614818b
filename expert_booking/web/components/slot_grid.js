// The sessions to choose from and their slot board. Python sends whole boards, and then changes as (start, state) with
// a version. Boards and changes travel on different paths, so either may arrive before an older one of the other kind.
// The chosen session and week are part of the URL.
const STATES = { open: "free", held: "on hold", booked: "booked" };
const MAX_EVENTS = 60; // events kept, because a board that was read before them may arrive after them

const CARD_LENGTH = 110; // characters of a description that fit on a card; a longer one is shown below in full

export default {
  props: { board: String, own: Object, bookUrl: String, sessions: Array, session: String, fixed: Boolean },
  template: `
    <div>
      <section v-if="choosing" aria-labelledby="sessions" class="sessions">
        <h2 id="sessions">Choose a session</h2>
        <ul>
          <li v-for="session in offered" :key="session.id" :class="{ chosen: session.id === chosen }">
            <a :href="address({ session: session.id })" :data-session-type="session.id" :aria-current="session.id === chosen ? 'true' : null"
              :aria-describedby="session.about ? 'about-' + session.id : null" @click="choose($event, session.id)"><b>{{ session.title }}</b> <span>{{ session.length }}</span></a>
            <p v-if="session.about" :id="'about-' + session.id">{{ session.about }}</p>
          </li>
        </ul>
        <p v-if="more" aria-hidden="true">{{ more }}</p>
        <p v-if="terms" class="terms">{{ terms }}</p>
      </section>
      <section v-else-if="offered.length" class="sessions only" :data-session-type="offered[0].id" aria-labelledby="sessions">
        <h2 id="sessions">{{ offered[0].title }} <span>{{ offered[0].length }}</span></h2>
        <p v-if="offered[0].about">{{ offered[0].about }}</p>
        <p class="terms">{{ offered[0].terms }}</p>
      </section>
      <p v-if="missing" class="note session-note" role="status" data-refusal="session_type_not_found">The session in this link is not available at the moment. Here are the times for <b>{{ shown.title }}</b> instead.</p>
      <section aria-labelledby="times" class="panel" :class="{ waiting }" :aria-busy="waiting">
        <div class="board-head">
          <div>
            <h2 id="times">Choose a time</h2>
            <p v-if="shown && !gone"><template v-if="choosing"><b>{{ shown.title }}</b>, {{ shown.length }}. </template>Times in <b>{{ shown.zone }}</b><template v-if="shown.expertZone">; the expert is in {{ shown.expertZone }}</template></p>
            <p v-else-if="!shown">Looking for free times …</p>
          </div>
          <div class="pager" role="group" aria-label="Weeks" v-if="shown && !gone">
            <button type="button" :disabled="!shown.earlier" @click="go(shown.earlier)" aria-label="Earlier week">←</button>
            <span class="nowrap">{{ shown.range }}</span>
            <button type="button" :disabled="!shown.later" @click="go(shown.later)" aria-label="Later week">→</button>
          </div>
        </div>
        <p class="sr-only" role="status" aria-live="polite">{{ announcement }}</p>
        <template v-if="!shown">
          <div class="week" aria-hidden="true" v-for="week in 2">
            <div class="day" v-for="day in 7"><h3><span class="bone" style="display:block;height:2.2rem"></span></h3>
              <ul><li v-for="slot in 4" class="bone" style="height:2.6rem"></li></ul></div>
          </div>
        </template>
        <div v-else-if="gone" class="note" data-refusal="inactive" role="status">
          <template v-if="offered.length"><strong>{{ shown.title }} is no longer offered.</strong>Please choose another session above.</template>
          <template v-else><strong>There is nothing to book here right now.</strong>New times will appear here automatically.</template>
        </div>
        <template v-else>
          <div v-if="nothingFree" class="note" style="margin-bottom:1rem">
            <strong>No free times in these two weeks.</strong>
            <template v-if="shown.next">The next free time is <a href="#" @click.prevent="go(shown.next.day)">{{ shown.next.text }}</a>.</template>
            <template v-else>No free times left in this calendar. New ones appear here automatically.</template>
          </div>
          <div class="week" v-for="week in shown.weeks" :key="week[0].date">
            <div class="day" v-for="day in week" :key="day.date" :class="{ today: day.today }">
              <h3 :id="'d' + day.date"><span class="sr-only">{{ day.long }}</span><span aria-hidden="true">{{ day.name }}<small>{{ day.today ? "Today" : day.short }}</small></span></h3>
              <ul v-if="day.slots.some((slot) => state(slot[0]))" :aria-labelledby="'d' + day.date">
                <template v-for="slot in day.slots" :key="slot[0]">
                  <li v-if="state(slot[0])">
                    <button type="button" class="slot" :class="{ fresh: slot[0] in fresh }" :data-slot="slot[0]" :data-state="state(slot[0])" :data-mine="isMine(slot[0]) ? '' : null"
                      :disabled="state(slot[0]) !== 'open'" :aria-label="name(slot, day)" @click="book(slot[0])">{{ slot[1] }}<small v-if="isMine(slot[0])">{{ mine.words }}</small><small v-else-if="state(slot[0]) === 'held'">on hold</small></button>
                  </li>
                </template>
              </ul>
              <p v-else class="none" aria-label="No times">–</p>
            </div>
          </div>
          <p class="legend" aria-hidden="true"><span><i></i>free</span><span v-if="mineIsThere"><i class="mine"></i>{{ mine.words }}</span><span><i class="held"></i>on hold</span><span><i class="booked"></i>booked</span><span>Updates live.</span></p>
        </template>
      </section>
    </div>`,
  data() {
    return { shown: null, states: {}, fresh: {}, announcement: "", events: [], version: 0, stale: false, wanted: this.read(), asks: 0, waiting: false, mine: this.own };
  },
  computed: {
    nothingFree() {
      return !Object.values(this.states).includes("open") && !this.opened.size;
    },
    opened() {
      return new Set(this.mine?.opens); // times that only the visitor's own hold or booking blocks
    },
    mineIsThere() {
      return this.shown.weeks.flat().some((day) => day.slots.some((slot) => this.isMine(slot[0])));
    },
    offered() {
      const sessions = this.shown ? this.shown.sessions : (this.sessions ?? []);
      return this.fixed ? sessions.filter((session) => session.id === this.chosen) : sessions;
    },
    chosen() {
      return this.shown ? this.shown.session : this.session;
    },
    gone() {
      return this.shown !== null && !this.offered.some((session) => session.id === this.chosen);
    },
    choosing() {
      return this.offered.length > (this.gone ? 0 : 1);
    },
    more() {
      const about = this.offered.find((session) => session.id === this.chosen)?.about ?? "";
      return about.length > CARD_LENGTH ? about : "";
    },
    terms() {
      return this.offered.find((session) => session.id === this.chosen)?.terms ?? "";
    },
    missing() {
      return !this.fixed && this.shown && !this.gone && !this.waiting && this.wanted.session && this.wanted.session !== this.chosen;
    },
  },
  created() {
    if (this.board) this.show(this.board, this.own);
  },
  mounted() {
    window.addEventListener("popstate", this.back);
    this.$nextTick(() => window.socket.on("slots", this.receive).on("missed", this.requestBoard));
  },
  unmounted() {
    window.removeEventListener("popstate", this.back);
    window.socket?.off("slots", this.receive).off("missed", this.requestBoard);
  },
  methods: {
    show(snapshot, own, ask) {
      const board = JSON.parse(snapshot);
      this.mine = own;
      const before = this.shown?.session ?? board.session;
      if (ask === this.asks || !this.shown) this.waiting = false;
      this.shown = Object.freeze({ ...board }); // a copy, because props are proxies and must not be frozen
      if (before !== board.session) this.announcement = "Showing times for " + board.title + ", " + board.length + ".";
      this.version = board.version;
      this.stale = false;
      const slots = board.weeks.flat().flatMap((day) => day.slots);
      this.states = Object.fromEntries(slots.filter((slot) => slot[2] !== "gone").map((slot) => [slot[0], slot[2]]));
      this.fresh = {};
      this.events.forEach(this.apply);
    },
    show_own(own) {
      this.mine = own;
    },
    state(start) {
      return this.opened.has(start) ? "open" : this.states[start];
    },
    isMine(start) {
      return this.mine?.start === start && this.states[start] !== "open";
    },
    receive(event) {
      this.events = [...this.events, event].slice(-MAX_EVENTS);
      if (this.shown) this.apply(event);
    },
    apply(event) {
      if (event.room !== this.shown.room || event.version <= this.version) return;
      if (event.redraw || event.version > this.version + 1) return this.requestBoard();
      this.version = event.version;
      for (const [start, state] of event.changes) this.change(start, state);
    },
    change(start, state) {
      if (state === "gone") delete this.states[start];
      else if (start in this.states) {
        this.states[start] = state;
        this.fresh[start] = true;
        setTimeout(() => delete this.fresh[start], 2000);
        this.announce(start);
      } else if (start >= this.shown.since && start < this.shown.until) this.requestBoard(); // new hours
    },
    requestBoard() {
      if (this.stale) return; // already requested
      this.stale = true;
      this.$emit("stale");
    },
    announce(start) {
      for (const day of this.shown.weeks.flat())
        for (const slot of day.slots) if (slot[0] === start) this.announcement = day.long + ", " + slot[1] + " is now " + this.stateText(start) + ".";
    },
    name(slot, day) {
      return slot[1] + ", " + day.long + ", " + this.shown.zone + ", " + this.stateText(slot[0]);
    },
    stateText(start) {
      return this.isMine(start) ? this.mine.words : STATES[this.state(start)];
    },
    book(start) {
      if (!this.bookUrl) return this.$emit("pick", start);
      // The session of the visible board, even if another board has been requested.
      const session = this.choosing ? "&session=" + this.shown.session : "";
      window.location.href = this.bookUrl + "?at=" + encodeURIComponent(start) + session;
    },
    choose(event, session) {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return; // open in a new tab or window
      event.preventDefault();
      if (session === this.chosen && !this.waiting) return;
      history.pushState(null, "", this.address({ session }));
      this.ask();
    },
    go(from) {
      history.replaceState(null, "", this.address({ from }));
      this.ask();
    },
    back() {
      const { session, from } = this.read(); // links within the page cause this event, too
      if (session !== this.wanted.session || from !== this.wanted.from) this.ask();
    },
    ask() {
      this.wanted = this.read();
      this.waiting = true;
      this.$emit("look", { ...this.wanted, ask: ++this.asks });
    },
    read() {
      const url = new URLSearchParams(location.search);
      return { session: (url.get("session") ?? "").toLowerCase(), from: url.get("from") ?? "" };
    },
    address(change) {
      const url = new URLSearchParams(location.search);
      for (const [name, value] of Object.entries(change)) url.set(name, value);
      return "?" + url;
    },
  },
};
