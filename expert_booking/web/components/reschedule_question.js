// Asks whether to reschedule, or says why it is not possible. Python provides the times; this manages the focus.
import { request } from "question";

export default {
  mixins: [request],
  props: { question: Object, notice: Object },
  template: `
    <div class="reschedule-question" :class="{ open: question || notice }">
      <form v-if="question" class="panel form" aria-labelledby="question" :aria-busy="sending" @submit.prevent="request('reschedule')" @keydown.esc.prevent="keep">
        <h2 id="question" ref="place" tabindex="-1">Reschedule your booking?</h2>
        <dl class="from-to">
          <div v-for="time in question.times" :key="time.name">
            <dt>{{ time.name }}</dt>
            <dd><b>{{ time.day }}, <span class="nowrap">{{ time.time }}</span></b><span>{{ time.zone }}</span><small v-if="time.theirs">Expert's time: {{ time.theirs }}</small></dd>
          </div>
        </dl>
        <p v-if="error" class="note bad" role="alert">{{ error }}</p>
        <div class="actions">
          <button class="button" type="submit" :aria-disabled="sending">{{ sending ? "Rescheduling …" : "Reschedule" }}</button>
          <button class="button quiet" type="button" @click="keep">Keep current time</button>
        </div>
      </form>
      <section v-else-if="notice" class="panel form" aria-label="This time is not available" @keydown.esc.prevent="keep">
        <div class="note warn" role="alert" ref="place" tabindex="-1" :data-refusal="notice.code" :data-reason="notice.reason">
          <strong>{{ notice.title }}</strong>{{ notice.text }}
        </div>
        <div v-if="notice.times.length" class="alternatives">
          <button v-for="time in notice.times" :key="time.at" type="button" :data-alternative="time.at" @click="$emit('pick', time.at)">{{ time.time }}<small>{{ time.day }}</small></button>
        </div>
        <div class="actions"><button class="button quiet" type="button" @click="keep">Keep current time</button></div>
      </section>
    </div>`,
  data() {
    return { at: undefined };
  },
  computed: {
    // Identifies the question or the notice, without the texts that change with the zone.
    topic() {
      return this.question ? "question " + this.question.at : this.notice ? "notice " + this.notice.title : "";
    },
  },
  watch: {
    topic() {
      this.done("");
      const at = (this.question ?? this.notice)?.at;
      // An update about the time in question must not steal the focus from the rest of the page.
      const mine = at !== this.at || this.$el.contains(document.activeElement);
      this.at = at;
      if (at && mine) this.$nextTick(this.focus);
    },
  },
  methods: {
    focus() {
      this.$refs.place.focus();
      this.slot()?.scrollIntoView({ block: "nearest" }); // the question must not cover it
    },
    slot() {
      return document.querySelector('[data-slot="' + this.at + '"]');
    },
    keep() {
      if (this.sending) return;
      this.$emit("keep");
      this.slot()?.focus();
    },
    leave(url) {
      clearTimeout(this.timer);
      window.location.assign(url);
    },
  },
};
