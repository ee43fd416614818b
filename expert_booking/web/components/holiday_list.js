// Whose public holidays apply, whether they are taken off, and a switch for each one that may be worked on.
export default {
  props: { countries: String, regions: String, holidays: String, country: String, region: String, closed: Boolean },
  template: `
    <div class="holiday-list">
      <div class="holiday-place">
        <div class="field"><label for="holiday-country">Country</label>
          <select id="holiday-country" class="input" :value="country" @change="$emit('place', { country: $event.target.value, region: '' })">
            <option value="">None</option><option v-for="[code, name] in read(countries)" :key="code" :value="code">{{ name }}</option></select></div>
        <div v-if="read(regions).length" class="field"><label for="holiday-region">Region</label>
          <select id="holiday-region" class="input" :value="region" @change="$emit('place', { country, region: $event.target.value })">
            <option value="">Whole country</option><option v-for="[code, name] in read(regions)" :key="code" :value="code">{{ name }}</option></select></div>
      </div>
      <label class="switch"><input type="checkbox" role="switch" :checked="closed" :disabled="!country" @change="$emit('closed', $event.target.checked)"><span>Take public holidays off</span></label>
      <ul class="date-list" aria-label="Public holidays of the next year">
        <li v-for="day in read(holidays)" :key="day.date">
          <span class="entry-dates">{{ day.when }}</span><span class="soft">{{ day.name }}</span>
          <label v-if="day.hours" class="switch"><input type="checkbox" role="switch" :checked="day.works" :aria-label="'I work on ' + day.name + ', ' + day.when" @change="$emit('work', { date: day.date, works: $event.target.checked })">
            <span>I work on this one<small v-if="day.works"> {{ day.hours }}</small></span></label>
          <span v-else class="soft small">No hours on this weekday</span>
        </li>
      </ul>
    </div>`,
  methods: {
    read(json) {
      return json ? JSON.parse(json) : [];
    },
  },
};
