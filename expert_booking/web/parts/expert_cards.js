// The listing. What the visitor looks for stands in the URL, so links can be shared and Back works.
const HEARD = 60; // news kept, for a result that was read before them but arrives after them

export default {
  props: { categories: Array, sorts: Array, query: Object, result: Object },
  template: `
    <section aria-label="Experts">
      <form class="finder" role="search" @submit.prevent="look({ page: 1 }, true)">
        <div class="search">
          <svg width="18" height="18" viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true"><circle cx="8" cy="8" r="5.5"/><path d="m12.5 12.5 4 4"/></svg>
          <label class="sr-only" for="search">Search experts</label>
          <input id="search" class="input" type="search" maxlength="100" autocomplete="off" placeholder="Name, subject, what you need"
            v-model="wanted.search" @input="typed">
        </div>
        <div><label class="sr-only" for="category">Category</label>
          <select id="category" class="input" v-model="wanted.category" @change="look({ page: 1 }, true)">
            <option value="">All categories</option>
            <option v-for="[name, number] in categories" :value="name">{{ name }} ({{ number }})</option>
          </select></div>
        <div><label class="sr-only" for="sort">Sort by</label>
          <select id="sort" class="input" v-model="wanted.sort" @change="look({ page: 1 }, true)">
            <option v-for="[value, title] in sorts" :value="value">{{ title }}</option>
          </select></div>
      </form>
      <p class="found" role="status" aria-live="polite">
        <template v-if="shown"><span>{{ shown.total === 1 ? "1 expert" : shown.total.toLocaleString("en") + " experts" }}</span><span>Times in {{ shown.zone }}</span></template>
        <span v-else>Looking for experts …</span>
      </p>
      <div v-if="!shown" class="cards" aria-hidden="true">
        <div v-for="card in 6" class="card"><div class="card-head"><span class="bone" style="width:64px;height:64px;border-radius:50%"></span>
          <div><span class="bone" style="display:block;height:1.2rem;width:70%"></span><span class="bone" style="display:block;height:.9rem;width:45%;margin-top:.5rem"></span></div></div>
          <div class="card-body"><span class="bone" style="height:2.6rem"></span></div><div class="card-next"><span class="bone" style="height:1.1rem;width:60%"></span></div></div>
      </div>
      <div v-else-if="!shown.experts.length" class="empty panel">
        <svg width="56" height="56" viewBox="0 0 56 56" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round" aria-hidden="true"><circle cx="25" cy="25" r="15"/><path d="m36.500 36.500 11 11M19 25h12"/></svg>
        <h2>No expert fits</h2>
        <p>{{ wanted.search ? "Nobody is found for “" + wanted.search + "”" + (wanted.category ? " in " + wanted.category : "") + ". Try fewer or other words." : "There is nobody on this page." }}</p>
        <button type="button" class="button quiet" @click="reset">Show all experts</button>
      </div>
      <div v-else class="cards" :class="{ waiting }" :aria-busy="waiting">
        <article v-for="expert in shown.experts" :key="expert.slug" class="card" :data-expert="expert.slug">
          <div class="card-head">
            <img class="portrait" :src="'/portrait/' + expert.slug + '.svg'" width="64" height="64" loading="lazy" alt="">
            <div><h2><a :href="'/expert/' + expert.slug">{{ expert.name }}</a></h2>
              <div class="card-sub">{{ years(expert.experience) }}</div></div>
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
      <nav v-if="shown && shown.pages > 1" class="pages" aria-label="Pages">
        <a v-if="shown.page > 1" :href="url({ page: shown.page - 1 })" @click.prevent="turn(shown.page - 1)" rel="prev">← Previous</a>
        <template v-for="page in numbers"><span v-if="page === 0">…</span>
          <a v-else :href="url({ page })" :aria-current="page === shown.page ? 'page' : null" :aria-label="'Page ' + page" @click.prevent="turn(page)">{{ page }}</a></template>
        <a v-if="shown.page < shown.pages" :href="url({ page: shown.page + 1 })" @click.prevent="turn(shown.page + 1)" rel="next">Next →</a>
      </nav>
    </section>`,
  data() {
    return { shown: null, next: {}, fresh: {}, wanted: { ...this.query }, waiting: false, asks: 0, timer: null, heard: [] };
  },
  computed: {
    numbers() {
      const { page, pages } = this.shown;
      const near = [1, page - 1, page, page + 1, pages].filter((n, i, all) => n >= 1 && n <= pages && all.indexOf(n) === i);
      return near.flatMap((n, i) => (i && n - near[i - 1] > 1 ? [0, n] : [n]));
    },
  },
  created() {
    if (this.result) this.show(this.result);
  },
  mounted() {
    window.addEventListener("popstate", this.back);
    this.$nextTick(() => window.socket.on("next", this.hear));
  },
  unmounted() {
    window.removeEventListener("popstate", this.back);
    window.socket?.off("next", this.hear);
  },
  methods: {
    show(result) {
      if (result.ask < this.asks) return; // the visitor has asked for something else meanwhile
      this.shown = Object.freeze({ ...result }); // a copy: what comes as a prop is a proxy, and must not be frozen
      this.next = Object.fromEntries(result.experts.map((expert) => [expert.id, expert.next]));
      this.waiting = false;
      this.heard.filter((news) => news.version > result.version).forEach(this.apply);
    },
    hear(news) {
      this.heard = [...this.heard, news].slice(-HEARD);
      this.apply(news);
    },
    apply(news) {
      if (!(news.expert in this.next) || this.next[news.expert] === news.next) return;
      this.next[news.expert] = news.next;
      this.fresh[news.expert] = true;
      setTimeout(() => delete this.fresh[news.expert], 1800);
    },
    typed() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.look({ page: 1 }, false), 220);
    },
    turn(page) {
      this.look({ page }, true);
      window.scrollTo({ top: 0 });
    },
    reset() {
      this.look({ search: "", category: "", page: 1 }, true);
      document.getElementById("search").focus();
    },
    look(change, remember) {
      clearTimeout(this.timer);
      Object.assign(this.wanted, change);
      history[remember ? "pushState" : "replaceState"](null, "", this.url({}));
      this.ask();
    },
    back() {
      const url = new URLSearchParams(location.search);
      this.wanted = { search: url.get("search") ?? "", category: url.get("category") ?? "", sort: url.get("sort") ?? "rating", page: Number(url.get("page") ?? 1) };
      this.ask();
    },
    ask() {
      this.waiting = true;
      this.$emit("look", { ...this.wanted, ask: ++this.asks });
    },
    url(change) {
      const { search, category, sort, page } = { ...this.wanted, ...change };
      const url = new URLSearchParams();
      if (search) url.set("search", search);
      if (category) url.set("category", category);
      if (sort !== "rating") url.set("sort", sort);
      if (page > 1) url.set("page", page);
      return url.size ? "/?" + url : "/";
    },
    years(number) {
      return number === 1 ? "1 year of experience" : number + " years of experience";
    },
  },
};
