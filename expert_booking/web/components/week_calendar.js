// A day, a week or a month of a calendar, drawn by EventCalendar (see assets/event-calendar-LICENSE.txt).
// All times are wall-clock times of the expert's zone as text, such as 2026-12-01T09:30. Only Python knows the instants.
const VIEWS = { day: "timeGridDay", week: "timeGridWeek", month: "dayGridMonth" };
const NARROW = 720; // pixels; narrower windows begin with a single day
const MINUTE = 60000;
const SHORT = 45; // minutes; shorter entries have one line

const shift = (wall, seconds) => new Date(Date.parse(wall + "Z") + seconds * 1000).toISOString().slice(0, 16);
const length = (item) => (Date.parse(item.end) - Date.parse(item.start)) / MINUTE;
const minutes = (text) => text.slice(0, 16);
const wallOf = (date) => new Date(date.getTime() - date.getTimezoneOffset() * MINUTE).toISOString().slice(0, 16);

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

export default {
  props: { data: String, date: String, view: String },
  template: `
    <div class="week-calendar" :aria-busy="waiting">
      <div class="calendar-bar">
        <div class="segments" role="group" aria-label="Move in time">
          <button type="button" :aria-label="'Previous ' + shown" @click="ec.prev()">←</button>
          <button type="button" @click="today">Today</button>
          <button type="button" :aria-label="'Next ' + shown" @click="ec.next()">→</button>
        </div>
        <h2 aria-live="polite">{{ title }}</h2>
        <div class="segments" role="group" aria-label="View">
          <button v-for="(_, name) in views" :key="name" type="button" :aria-pressed="name === shown" @click="change(name)">{{ name[0].toUpperCase() + name.slice(1) }}</button>
        </div>
        <button type="button" class="button small" @click="$emit('select', { start: null, end: null })">New</button>
      </div>
      <div ref="grid" class="calendar-grid" role="region" aria-label="Calendar" tabindex="-1"></div>
    </div>`,
  data() {
    return { views: VIEWS, shown: this.view || (window.innerWidth < NARROW ? "day" : "week"), title: "", waiting: false };
  },
  mounted() {
    const first = JSON.parse(this.data);
    this.range = first;
    this.items = new Map(first.items.map((item) => [item.id, item]));
    // While a booking is dragged, and until the question about it is answered, nothing moves under the pointer.
    this.dragging = this.pending = this.queued = null;
    this.misplaced = new Set(); // what may not be where its item says
    this.ec = window.EventCalendar.create(this.$refs.grid, {
      view: VIEWS[this.shown],
      date: this.date,
      timeZone: first.offset, // a fixed offset: today and now are the expert's, and no browser shifts a time
      firstDay: 1,
      locale: "en-GB",
      height: "100%",
      headerToolbar: { start: "", center: "", end: "" },
      allDayContent: { domNodes: [] },
      allDaySlot: this.hasNames(),
      scrollTime: first.scroll,
      slotHeight: 30,
      snapDuration: "00:15",
      slotEventOverlap: false,
      nowIndicator: true,
      dayMaxEvents: true,
      selectable: true,
      longPressDelay: 400,
      unselectCancel: ".q-dialog",
      eventDurationEditable: false,
      dayHeaderFormat: { weekday: "short", day: "numeric", month: "short" },
      views: { dayGridMonth: { dayHeaderFormat: { weekday: "short" } } },
      eventTimeFormat: { hour: "2-digit", minute: "2-digit" },
      slotLabelFormat: { hour: "2-digit", minute: "2-digit" },
      eventSources: [{ events: () => [...this.items.values()].map(this.event) }],
      lazyFetching: false,
      datesSet: this.datesSet,
      viewDidMount: this.nameRoles,
      eventContent: this.content,
      eventDidMount: ({ el, event }) => this.mark(el, event),
      eventClick: ({ event }) => this.$emit("open", event.id),
      eventDragStart: ({ event }) => this.dragStart(event.id),
      eventDragStop: () => this.dragStop(),
      eventDrop: this.drop,
      select: ({ startStr, endStr, allDay }) => this.$emit("select", { start: minutes(startStr), end: minutes(endStr), allDay }),
      dateClick: this.click,
    });
  },
  beforeUnmount() {
    window.EventCalendar.destroy(this.ec);
  },
  methods: {
    event(item) {
      const background = item.background ? { display: "background" } : {};
      const classes = ["is-" + item.kind, ...(item.status ? ["is-" + item.status] : []), ...(length(item) < SHORT ? ["is-short"] : [])];
      return { id: item.id, start: item.start, end: item.end, allDay: !!item.allDay, classNames: classes, startEditable: !!item.movable, ...background };
    },
    content({ event, timeText, view }) {
      const item = this.items.get(event.id);
      // The selection, and the times where a dragged booking fits.
      if (!item) return { domNodes: event.display === "background" ? [] : [element("span", "event-time", timeText)] };
      if (item.background) return { domNodes: item.title ? [element("span", "background-name", item.title)] : [] };
      // A dragged copy shows where it is; Python names the offset of a time that the clock shows twice.
      const time = wallOf(event.start) === item.start ? item.time : timeText;
      const month = view.type === VIEWS.month;
      const short = length(item) < SHORT && view.type !== VIEWS.day;
      const nodes = [element("span", "event-time", month || short ? time.slice(0, 5) : time), element("b", "event-title", item.title)];
      nodes.push(element("span", month || short ? "sr-only" : "event-text", item.text), element("span", "sr-only", item.day));
      const body = element("div", "event-body", "");
      // Not the article around it, which may not be a button. Its clicks and keys reach the library all the same.
      if (item.kind !== "hold") {
        body.setAttribute("role", "button");
        body.tabIndex = 0;
      }
      body.append(...nodes);
      return { domNodes: [body] };
    },
    mark(el, event) {
      const item = this.items.get(event.id);
      if (!item || event.display === "preview") return;
      if (item.kind === "booking") el.dataset.booking = item.id;
      if (item.kind === "block") el.dataset.block = item.id;
      if (item.kind === "hold") el.dataset.hold = item.id;
      if (item.status) el.dataset.status = item.status;
      if (item.background) {
        el.dataset.background = item.kind;
        el.setAttribute("role", "presentation");
        return;
      }
      el.title = [item.time, item.title, item.text].join(", ");
      el.removeAttribute("role");
      el.removeAttribute("tabindex");
    },
    // The grid's table roles lack what readers expect of a table. Each booking is a button that says all about itself.
    nameRoles() {
      for (const one of this.$refs.grid.querySelectorAll('.ec, [role="row"], [role="rowgroup"], [role="cell"], [role="columnheader"]'))
        one.setAttribute("role", one.matches(".ec") ? "group" : "presentation");
      for (const one of this.$refs.grid.querySelectorAll("[aria-colindex]")) one.removeAttribute("aria-colindex");
    },
    datesSet({ startStr, endStr, view }) {
      this.title = view.title;
      this.shown = Object.keys(VIEWS).find((name) => VIEWS[name] === view.type);
      const [since, until] = [startStr.slice(0, 10), endStr.slice(0, 10)];
      const middle = this.ec ? shift(since + "T00:00", (Date.parse(until) - Date.parse(since)) / 2000).slice(0, 10) : this.date;
      const url = new URL(location);
      url.searchParams.set("view", this.shown);
      url.searchParams.set("date", middle);
      history.replaceState(history.state, "", url);
      this.$nextTick(this.nameRoles);
      if (since >= this.range.since && until <= this.range.until) return;
      this.waiting = true;
      this.$emit("range", { since, until });
    },
    today() {
      this.ec.setOption("date", shift(new Date().toISOString().slice(0, 16), this.seconds()).slice(0, 10));
    },
    seconds() {
      const [hours, rest] = this.range.offset.slice(1).split(":").map(Number);
      return (this.range.offset[0] === "-" ? -1 : 1) * (hours * 60 + rest) * 60;
    },
    change(name) {
      this.ec.setOption("view", VIEWS[name]);
    },
    click({ dateStr, allDay, view }) {
      if (view.type === VIEWS.month) {
        this.ec.setOption("date", dateStr.slice(0, 10));
        this.change("day");
      } else if (!allDay) this.$emit("select", { start: minutes(dateStr), end: null });
    },
    dragStart(id) {
      this.dragging = id;
      this.$emit("drag", id);
    },
    // The library calls `drop` right after this.
    dragStop() {
      this.dragging = null;
      for (const target of this.shownTargets ?? []) this.ec.removeEventById(target);
      this.shownTargets = [];
    },
    drop({ event, delta, revert }) {
      const item = this.items.get(event.id);
      const start = shift(item.start, delta.days * 86400 + delta.seconds);
      if (start === item.start) return this.takeQueued();
      this.pending = { id: item.id, revert };
      this.$emit("drop", { id: item.id, start });
    },
    // Called by Python --------------------------------------------------------------------------------------------
    // Shows these days as they are now.
    show(data) {
      this.waiting = false;
      if (this.dragging || this.pending) this.queued = data;
      else this.apply(JSON.parse(data));
    },
    // Shows the times where the dragged booking fits, unless it was dropped in the meantime.
    targets(id, spans) {
      if (this.dragging !== id) return;
      this.shownTargets = spans.map(([start, end], number) => {
        this.ec.addEvent({ id: "target-" + number, start, end, display: "background", classNames: ["is-target"] });
        return "target-" + number;
      });
    },
    // The question about a selection or a drop has been answered. `back`: the booking goes back to where it was.
    settle(back) {
      this.ec.unselect();
      if (this.pending && back) this.pending.revert();
      else if (this.pending) this.misplaced.add(this.pending.id);
      this.pending = null;
      this.takeQueued();
    },
    focusItem(id) {
      this.$refs.grid.querySelector(`[data-booking="${id}"] .event-body, [data-block="${id}"] .event-body`)?.focus();
    },
    async copy(text) {
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        // The clipboard API needs https. The text is selected in a field inside the dialog, which keeps the focus.
        const field = document.createElement("textarea");
        field.value = text;
        (document.querySelector(".q-dialog .q-card") ?? document.body).append(field);
        field.select();
        document.execCommand("copy");
        field.remove();
      }
    },
    takeQueued() {
      const data = this.queued;
      this.queued = null;
      if (data && !this.dragging) this.apply(JSON.parse(data));
    },
    // Days off and holidays are named in a row of their own.
    hasNames() {
      return [...this.items.values()].some((item) => item.allDay);
    },
    // Changes only what differs, so that focus and scrolling stay.
    apply(range) {
      const before = this.items;
      this.items = new Map(range.items.map((item) => [item.id, item]));
      const moved = range.offset !== this.range.offset;
      if (moved) this.ec.setOption("timeZone", range.offset);
      this.range = range;
      this.ec.setOption("allDaySlot", this.hasNames());
      for (const id of before.keys()) if (!this.items.has(id)) this.ec.removeEventById(id);
      for (const [id, item] of this.items) {
        const old = before.get(id);
        if (!old) this.ec.addEvent(this.event(item));
        else if (moved || this.misplaced.has(id) || JSON.stringify(old) !== JSON.stringify(item)) this.update(item);
      }
      this.misplaced.clear();
    },
    update(item) {
      const focused = document.activeElement?.closest("[data-booking], [data-block]");
      const had = [focused?.dataset.booking, focused?.dataset.block].includes(item.id);
      this.ec.updateEvent(this.event(item));
      if (had) setTimeout(() => this.focusItem(item.id));
    },
  },
};
