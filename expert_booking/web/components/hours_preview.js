// Two weeks as visitors see them, and between their times those that cannot be booked. Each can be asked about.
const STATES = { open: "free", held: "on hold", booked: "booked", no: "not offered" };

export default {
  props: { weeks: String, zone: String, asked: String },
  template: `
    <div class="hours-preview">
      <div v-for="week in shown" :key="week[0].date" class="preview-week">
        <div v-for="day in week" :key="day.date" class="preview-day">
          <h3><span class="sr-only">{{ day.long }}</span><span aria-hidden="true">{{ day.name }}<small>{{ day.short }}</small></span></h3>
          <button v-for="time in day.times" :key="time[0]" type="button" class="preview-time" :data-preview="time[0]" :data-state="time[2]" :aria-pressed="asked === time[0]"
            :aria-label="time[1] + ', ' + day.long + ', ' + zone + ', ' + states[time[2]]" @click="$emit('ask', time[0])">{{ time[1] }}</button>
        </div>
      </div>
      <p class="legend" aria-hidden="true"><span><i></i>free</span><span><i class="booked"></i>booked</span><span><i class="held"></i>on hold</span><span><i class="no"></i>not offered</span></p>
    </div>`,
  computed: {
    shown() {
      return JSON.parse(this.weeks);
    },
  },
  data() {
    return { states: STATES };
  },
};
