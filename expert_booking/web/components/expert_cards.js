// The list of experts and its filters. The search is part of the URL, so links can be shared and Back works.
export default {
  props: { query: Object, result: String },
  template: `
    <section aria-label="Experts">
      <form class="finder" role="search" @submit.prevent="search({}, true)">
        <div class="search">
          <svg width="18" height="18" viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true"><circle cx="8" cy="8" r="5.5"/><path d="m12.5 12.5 4 4"/></svg>
          <label class="sr-only" for="search">Search experts</label>
          <input id="search" class="input" type="search" maxlength="100" autocomplete="off" placeholder="Name, subject or what you need"
            v-model="wanted.search" @input="typed">
        </div>
        <div><label class="sr-only" for="sort">Sort by</label>
          <select id="sort" class="input" v-model="wanted.sort" @change="search({}, true)">
            <option v-for="[value, title] in sorts" :value="value">{{ title }}</option>
          </select></div>
        <button type="button" class="button quiet toggle" :aria-expanded="open" aria-controls="filters" @click="open = !open">Filters<b v-if="chosen.length">{{ chosen.length }}</b></button>
        <div id="filters" class="filters" :class="{ open }" role="group" aria-label="Filters">
          <div class="choice" ref="categories" @focusout="leave" @keydown.esc="close">
            <button id="category" type="button" class="input" :class="{ set: wanted.category.length }" aria-controls="categories"
              :aria-expanded="choosing" :aria-label="'Category: ' + categoryLabel" @click="choosing = !choosing">{{ categoryLabel }}</button>
            <ul v-show="choosing" id="categories" class="panel" tabindex="-1">
              <li v-for="[name, number] in categories" :key="name"><label><input type="checkbox" :value="name" v-model="wanted.category" @change="search({}, true)">
                <span>{{ name }}</span><small>{{ number }}</small></label></li>
            </ul>
          </div>
          <div><label class="sr-only" for="when">Free</label>
            <select id="when" class="input" :class="{ set: when }" :value="when" @change="choose($event.target.value)">
              <option value="">Free any time</option>
              <option v-for="[value, title] in times" :value="value">{{ title }}</option>
              <option value="date">On a date …</option>
            </select></div>
          <div v-if="when === 'date'"><label class="sr-only" for="date">Date</label>
            <input id="date" class="input set" type="date" :min="shown && shown.today" :max="shown && shown.lastDay" :value="wanted.freeOn" @change="search({ freeOn: $event.target.value, freeBefore: '' }, true)"></div>
          <div v-for="{ id, none, options } in selects"><label class="sr-only" :for="id">{{ none }}</label>
            <select :id="id" class="input" :class="{ set: wanted[id] }" v-model="wanted[id]" @change="search({}, true)">
              <option value="">{{ none }}</option>
              <option v-for="[value, title, number] in options" :value="value">{{ title }}{{ number === null ? "" : " (" + number + ")" }}</option>
            </select></div>
        </div>
      </form>
      <ul v-if="chosen.length" class="in-use" aria-label="Filters in use">
        <li v-for="filter in chosen"><button type="button" class="chip" :aria-label="'Remove filter ' + filter.title" @click="search(filter.without, true)">{{ filter.title }}<span aria-hidden="true">×</span></button></li>
        <li><button type="button" class="link" @click="search(noFilters(), true)">Clear all</button></li>
      </ul>
      <p v-if="shown && shown.note" class="note warn under-filters" role="status">{{ shown.note }}</p>
      <p class="found" role="status" aria-live="polite">
        <template v-if="shown"><span>{{ shown.total === 1 ? "1 expert" : shown.total.toLocaleString("en") + (shown.more ? "+ experts" : " experts") }}</span><span>Times in {{ shown.zone }}</span></template>
        <span v-else>Looking for experts …</span>
      </p>
      <div v-if="!shown" class="cards" aria-hidden="true">
        <div v-for="card in 6" class="card"><div class="card-head"><span class="bone" style="width:64px;height:64px;border-radius:50%"></span>
          <div><span class="bone" style="display:block;height:1.2rem;width:70%"></span><span class="bone" style="display:block;height:.9rem;width:45%;margin-top:.5rem"></span></div></div>
          <div class="card-body"><span class="bone" style="height:2.6rem"></span></div><div class="card-next"><span class="bone" style="height:1.1rem;width:60%"></span></div></div>
      </div>
      <div v-else-if="!shown.experts.length" class="empty panel">
        <svg width="56" height="56" viewBox="0 0 56 56" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round" aria-hidden="true"><circle cx="25" cy="25" r="15"/><path d="m36.500 36.500 11 11M19 25h12"/></svg>
        <h2>No experts found</h2>
        <p>{{ noResults }}</p>
        <button type="button" class="button quiet" @click="reset">Show all experts</button>
      </div>
      <div v-else class="cards" :class="{ waiting }" :aria-busy="waiting">
        <article v-for="expert in shown.experts" :key="expert.slug" class="card" :data-expert="expert.slug">
          <div class="card-head">
            <img class="portrait" :src="expert.photo || '/portrait/' + expert.slug + '.svg'" width="64" height="64" loading="lazy" alt="">
            <div><h2><a :href="'/expert/' + expert.slug">{{ expert.name }}</a></h2>
              <div v-if="expert.experience" class="card-sub">{{ years(expert.experience) }}</div>
              <div v-if="expert.languages.length" class="card-sub"><span class="sr-only">Speaks </span>{{ expert.languages.map(language).join(", ") }}</div></div>
          </div>
          <div class="card-body"><div class="card-facts">
            <span v-if="expert.rating !== null" class="stars"><span class="stars-row" aria-hidden="true"><i :style="{ width: 20 * expert.rating + '%' }"></i></span>
              <span class="sr-only">Rated {{ expert.rating.toFixed(2) }} of 5 by {{ expert.ratingCount }} people</span>
              <span aria-hidden="true"><b>{{ expert.rating.toFixed(2) }}</b> <span class="soft">({{ expert.ratingCount.toLocaleString("en") }})</span></span></span>
            <span v-else class="stars soft">No ratings yet</span>
            <span class="chip">{{ expert.category }}</span></div>
            <p>{{ expert.headline }}</p>
          </div>
          <div class="card-next" :class="{ fresh: expert.id in fresh }" :data-next="expert.slug">
            <span class="dot" :class="{ none: !next[expert.id] }"></span>
            <span v-if="next[expert.id]">Next free <b>{{ next[expert.id] }}</b></span><span v-else class="soft">No free times at the moment</span>
          </div>
        </article>
      </div>
      <nav v-if="shown && (shown.previous || shown.next)" class="pages" aria-label="Pages">
        <a v-if="shown.previous" :href="url(earlier)" @click.prevent="turnPage(earlier)" rel="prev">← Previous</a>
        <span aria-current="page">Page {{ shown.page }}<template v-if="!shown.more"> of {{ Math.max(shown.pages, shown.page) }}</template></span>
        <a v-if="shown.next" :href="url(later)" @click.prevent="turnPage(later)" rel="next">Next →</a>
      </nav>
    </section>`,
  data() {
    return { shown: null, next: {}, fresh: {}, wanted: this.searchFrom(this.query), open: false, choosing: false, picking: false, waiting: false, asks: 0, timer: null, events: {} };
  },
  computed: {
    sorts() {
      const named = [["soonest", "Soonest free"], ["experience", "Most experience"], ["name", "Name"]];
      return this.wanted.search.trim() ? [["", "Best match"], ["rating", "Best rated"], ...named] : [["", "Best rated"], ...named];
    },
    facets() {
      return this.shown?.facets ?? { categories: [], languages: [], minutes: [], ratings: [] };
    },
    categories() {
      const chosen = this.wanted.category.filter((name) => !this.facets.categories.some(([known]) => known === name));
      return [...this.facets.categories, ...chosen.map((name) => [name, 0])];
    },
    categoryLabel() {
      const [first, ...more] = this.wanted.category;
      return !first ? "All categories" : more.length ? first + " + " + more.length : first;
    },
    selects() {
      const { languages, minutes, ratings } = this.facets;
      return [
        { id: "minutes", none: "Any length", options: this.options("minutes", minutes, this.length) },
        { id: "language", none: "Any language", options: this.options("language", languages, this.language) },
        { id: "minRating", none: "Any rating", options: this.options("minRating", ratings, this.rating) },
      ];
    },
    times() {
      if (!this.shown) return [];
      const { today } = this.shown;
      return [["on:" + today, "Today"], ["on:" + this.day(today, 1), "Tomorrow"], ["before:" + this.day(today, 3), "Within three days"], ["before:" + this.day(today, 7), "Within seven days"]];
    },
    when() {
      const { freeOn, freeBefore } = this.wanted;
      const value = freeOn ? "on:" + freeOn : freeBefore ? "before:" + freeBefore : "";
      if (!this.picking && (!value || this.times.some(([known]) => known === value))) return value;
      return this.picking || freeOn ? "date" : "";
    },
    chosen() {
      const { category, minutes, language, minRating, freeOn, freeBefore } = this.wanted;
      const near = (value) => this.times.find(([known]) => known === value)?.[1];
      return [
        ...category.map((name) => ({ title: name, without: { category: category.filter((other) => other !== name) } })),
        freeOn && { title: "Free " + (near("on:" + freeOn)?.toLowerCase() ?? "on " + this.date(freeOn)), without: { freeOn: "" } },
        freeBefore && { title: "Free " + (near("before:" + freeBefore)?.toLowerCase() ?? "before " + this.date(freeBefore)), without: { freeBefore: "" } },
        minutes && { title: this.length(minutes), without: { minutes: "" } },
        language && { title: this.language(language), without: { language: "" } },
        minRating && { title: this.rating(minRating), without: { minRating: "" } },
      ].filter(Boolean);
    },
    noResults() {
      if (this.shown.page > 1) return "There are no experts on this page.";
      const search = this.wanted.search.trim();
      const matches = search ? "“" + search + "”" : "";
      if (this.chosen.length) return "No experts match " + (search ? matches + " with " : "") + "these filters. Remove a filter or show all experts.";
      return search ? "No experts match " + matches + ". Try fewer or different words." : "There are no experts yet.";
    },
    later() {
      return { page: this.shown.page + 1, after: this.shown.next, before: "" };
    },
    earlier() {
      const page = Math.max(1, this.shown.page - 1);
      return { page, before: page === 1 ? "" : this.shown.previous, after: "" };
    },
  },
  created() {
    if (this.result) this.show(JSON.parse(this.result));
  },
  mounted() {
    window.addEventListener("popstate", this.back);
    window.addEventListener("pointerdown", this.leave);
    this.$nextTick(() => window.socket.on("next", this.receive).on("missed", this.ask));
  },
  unmounted() {
    window.removeEventListener("popstate", this.back);
    window.removeEventListener("pointerdown", this.leave);
    window.socket?.off("next", this.receive).off("missed", this.ask);
  },
  methods: {
    show(result) {
      if (result.ask < this.asks) return; // the response to an earlier search
      this.shown = Object.freeze(result);
      this.next = Object.fromEntries(result.experts.map((expert) => [expert.id, expert.next]));
      this.waiting = false;
      if (result.note) {
        // Part of the search was out of date, such as a past day or an old cursor: show the search that was made.
        this.wanted = this.searchFrom(result.query);
        history.replaceState(null, "", this.url({}));
      }
      Object.values(this.events).filter((event) => event.version > result.version).forEach(this.apply);
    },
    receive(event) {
      this.events[event.expert] = event; // a result that was read earlier may arrive later
      this.apply(event);
    },
    apply(event) {
      if (!(event.expert in this.next) || this.next[event.expert] === event.next) return;
      this.next[event.expert] = event.next;
      this.fresh[event.expert] = true;
      setTimeout(() => delete this.fresh[event.expert], 1800);
    },
    typed() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.search({}, false), 220);
    },
    choose(value) {
      const [kind, day] = value.split(":");
      this.picking = value === "date";
      if (this.picking) return this.$nextTick(() => document.getElementById("date").focus());
      this.search({ freeOn: kind === "on" ? day : "", freeBefore: kind === "before" ? day : "" }, true);
    },
    leave({ relatedTarget, target }) {
      const next = relatedTarget ?? target; // what gets the focus, or what was pressed
      if (!this.$refs.categories.contains(next)) this.choosing = false;
    },
    close() {
      this.choosing = false;
      document.getElementById("category").focus();
    },
    turnPage(cursor) {
      this.search(cursor, true);
      window.scrollTo({ top: 0 });
    },
    reset() {
      this.search({ ...this.noFilters(), search: "" }, true);
      document.getElementById("search").focus();
    },
    noFilters() {
      return { category: [], language: "", minutes: "", minRating: "", freeOn: "", freeBefore: "" };
    },
    search(change, remember) {
      clearTimeout(this.timer);
      // A different search starts at the first page.
      Object.assign(this.wanted, { page: 1, after: "", before: "" }, change);
      if (!("freeOn" in change) || !change.freeOn) this.picking = false;
      history[remember ? "pushState" : "replaceState"](null, "", this.url({}));
      this.ask();
    },
    back() {
      const url = new URLSearchParams(location.search);
      this.wanted = this.searchFrom({ ...Object.fromEntries(url), category: url.getAll("category") });
      this.ask();
    },
    ask() {
      this.waiting = true;
      this.$emit("search", { ...this.wanted, ask: ++this.asks });
    },
    searchFrom({ search = "", sort = "", page = 1, after = "", before = "", category = [], ...filters }) {
      const known = Object.fromEntries(Object.entries(this.noFilters()).map(([name, none]) => [name, String(filters[name] ?? none)]));
      return { ...known, search, sort, page: Number(page) || 1, after, before, category: [...category] };
    },
    url(change) {
      const wanted = { ...this.wanted, ...change };
      const url = new URLSearchParams();
      for (const name of ["search", "category", "freeOn", "freeBefore", "minutes", "language", "minRating", "sort", "page", "after", "before"])
        for (const value of [wanted[name]].flat()) if (value && value !== 1) url.append(name, value);
      return url.size ? "/?" + url : "/";
    },
    options(name, facet, label) {
      const chosen = this.wanted[name];
      const known = facet.map(([value, number]) => [value, label(value), number]);
      return !chosen || known.some(([value]) => value === chosen) ? known : [...known, [chosen, label(chosen), 0]];
    },
    length(minutes) {
      return minutes + " minutes";
    },
    rating(least) {
      return "Rated " + least + " and up";
    },
    language(code) {
      return window.languageName(code);
    },
    day(first, more) {
      return new Date(Date.parse(first) + more * 86400000).toISOString().slice(0, 10);
    },
    date(day) {
      return new Date(day).toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "long", timeZone: "UTC" });
    },
    years(number) {
      return number === 1 ? "1 year of experience" : number + " years of experience";
    },
  },
};
