// Bookings as a table, with selection and paging. Python reads the pages, and asks for a reason before an action. Links
// have real addresses; a click on one changes the table in place.
export default {
  props: { result: Object },
  template: `
    <div class="bookings" :aria-busy="loading">
      <div class="bookings-head">
        <p class="soft" aria-live="polite">{{ result.summary }}</p>
        <a v-if="result.newer" class="bookings-newer" :href="result.newer.url" data-new
          @click.exact.prevent="go(result.newer.go)">{{ result.newer.text }}</a>
        <a v-if="result.exportUrl" class="button quiet" :href="result.exportUrl" download>Export CSV</a>
      </div>
      <div v-if="chosen.length" class="bookings-bar" role="region" aria-label="Selected bookings">
        <strong>{{ chosen.length }} selected</strong>
        <button v-for="one in offered" :key="one.name" type="button" class="button" :class="{ quiet: one.quiet }"
          @click="$emit('act', { action: one.name, ids: one.ids })">{{ one.ids.length < chosen.length ? one.label + " " + one.ids.length : one.label }}</button>
        <span v-if="!offered.length" class="soft small">None of these can be changed now.</span>
        <button type="button" class="bookings-clear" @click="selected = []">Clear</button>
      </div>
      <div v-if="result.empty" class="empty panel" data-empty>
        <h2>{{ result.empty.title }}</h2><p>{{ result.empty.text }}</p>
        <a class="button quiet" :href="result.empty.url">{{ result.empty.link }}</a>
      </div>
      <table v-else class="bookings-table">
        <caption class="sr-only">Bookings, times in {{ result.zone }}</caption>
        <thead><tr>
          <th scope="col"><input type="checkbox" aria-label="Select all on this page" :checked="all" :indeterminate.prop="some" @change="selectAll"></th>
          <th v-for="column in result.columns" :key="column.name" scope="col" :aria-sort="column.order" :class="'of-' + column.name">
            <a v-if="column.url" :href="column.url" @click.exact.prevent="go(column.go)">{{ column.title }}<span class="order" aria-hidden="true">{{ arrow(column.order) }}</span></a>
            <template v-else>{{ column.title }}</template>
          </th>
        </tr></thead>
        <tbody>
          <tr v-for="row in result.rows" :key="row.id" :data-booking="row.id" :data-status="row.status" :class="{ chosen: selected.includes(row.id) }">
            <td class="of-check"><input type="checkbox" v-model="selected" :value="row.id" :aria-label="'Select ' + row.name + ', ' + row.day + ', ' + row.time"></td>
            <td class="of-start"><a :href="row.url">{{ row.day }}<span class="soft small">{{ row.time }}</span></a></td>
            <td class="of-customer"><span class="who">{{ row.name }}<b v-if="row.isNew" class="chip" data-is-new>New</b></span><span class="soft small">{{ row.contact }}</span></td>
            <td class="of-session">{{ row.session }}</td>
            <td class="of-status"><span class="badge" :class="row.status">{{ row.statusText }}</span></td>
            <td class="of-created soft small"><span class="label">Booked: </span>{{ row.created }}</td>
          </tr>
        </tbody>
      </table>
      <nav v-if="result.previous || result.next" class="bookings-pages" aria-label="Pages">
        <a v-if="result.previous" class="button quiet" rel="prev" :href="result.previous.url" @click.exact.prevent="go(result.previous.go, true)">Previous</a>
        <a v-if="result.next" class="button quiet" rel="next" :href="result.next.url" @click.exact.prevent="go(result.next.go, true)">Next</a>
      </nav>
    </div>`,
  data() {
    return { selected: [], loading: false };
  },
  computed: {
    chosen() {
      return this.result.rows.filter((row) => this.selected.includes(row.id));
    },
    // The actions that are possible now, each with the bookings that allow it.
    offered() {
      const allowing = (name) => this.chosen.filter((row) => row.may.includes(name)).map((row) => row.id);
      return this.result.actions.map((one) => ({ ...one, ids: allowing(one.name) })).filter((one) => one.ids.length);
    },
    all() {
      return this.result.rows.length > 0 && this.chosen.length === this.result.rows.length;
    },
    some() {
      return this.chosen.length > 0 && !this.all;
    },
  },
  watch: {
    result(now, before) {
      this.loading = false;
      this.selected = this.chosen.map((row) => row.id);
      if (now.url === before.url) return;
      // Typing in a field makes one entry in the history, not one for every letter.
      history[now.typed && before.typed ? "replaceState" : "pushState"]({}, "", now.url);
    },
  },
  mounted() {
    addEventListener("popstate", this.back);
  },
  unmounted() {
    removeEventListener("popstate", this.back);
  },
  methods: {
    back() {
      location.reload();
    },
    arrow(order) {
      return { ascending: " ↑", descending: " ↓" }[order] ?? "";
    },
    selectAll(event) {
      this.selected = event.target.checked ? this.result.rows.map((row) => row.id) : [];
    },
    go(wanted, up) {
      this.loading = true;
      this.$emit("go", wanted);
      if (up) this.$el.scrollIntoView({ block: "start" });
    },
    clear() {
      this.selected = [];
    },
  },
};
