// The question whether to move, and the answer that it cannot be. Python says which times; the focus goes where they are.
export default {
  props: { question: Object, notice: Object },
  template: `
    <div class="reschedule-question" :class="{ open: question || notice }">
      <form v-if="question" class="panel form" aria-labelledby="question" :aria-busy="sending" @submit.prevent="reschedule" @keydown.esc.prevent="keep">
        <h2 id="question" ref="place" tabindex="-1">Move your booking?</h2>
        <dl class="from-to">
          <div v-for="time in question.times" :key="time.name">
            <dt>{{ time.name }}</dt>
            <dd><b>{{ time.day }}, <span class="nowrap">{{ time.time }}</span></b><span>{{ time.zone }}</span><small v-if="time.theirs">At the expert's: {{ time.theirs }}</small></dd>
          </div>
        </dl>
        <p v-if="trouble" class="note bad" role="alert">{{ trouble }}</p>
        <div class="actions">
          <button class="button" type="submit" :aria-disabled="sending">{{ sending ? "Moving …" : "Move it" }}</button>
          <button class="button quiet" type="button" @click="keep">Keep the old time</button>
        </div>
      </form>
      <section v-else-if="notice" class="panel form" aria-label="This time cannot be had" @keydown.esc.prevent="keep">
        <div class="note warn" role="alert" ref="place" tabindex="-1" :data-refusal="notice.code" :data-reason="notice.reason">
          <strong>{{ notice.title }}</strong>{{ notice.text }}
        </div>
        <div v-if="notice.times.length" class="alternatives">
          <button v-for="time in notice.times" :key="time.at" type="button" :data-alternative="time.at" @click="$emit('pick', time.at)">{{ time.time }}<small>{{ time.day }}</small></button>
        </div>
        <div class="actions"><button class="button quiet" type="button" @click="keep">Keep the old time</button></div>
      </section>
    </div>`,
  data() {
    return { sending: false, trouble: "", timer: null, at: undefined };
  },
  computed: {
    // What is asked or said, without the words that only the zone decides.
    about() {
      return this.question ? "question " + this.question.at : this.notice ? "notice " + this.notice.title : "";
    },
  },
  watch: {
    about() {
      this.rest("");
      const at = (this.question ?? this.notice)?.at;
      // Where it is only news that come to what was asked, they may not take the focus from elsewhere.
      const mine = at !== this.at || this.$el.contains(document.activeElement);
      this.at = at;
      if (at && mine) this.$nextTick(this.turn);
    },
  },
  methods: {
    turn() {
      this.$refs.place.focus();
      this.slot()?.scrollIntoView({ block: "nearest" }); // not behind the question
    },
    slot() {
      return document.querySelector('[data-slot="' + this.at + '"]');
    },
    reschedule() {
      if (this.sending) return;
      this.sending = true;
      this.trouble = "";
      // An answer that never comes must not lock the question.
      this.timer = setTimeout(() => this.rest("There is no answer. Please look whether you are online, and try again."), 20000);
      this.$emit("reschedule");
    },
    keep() {
      if (this.sending) return;
      this.$emit("keep");
      this.slot()?.focus();
    },
    rest(trouble) {
      clearTimeout(this.timer);
      this.sending = false;
      this.trouble = trouble;
    },
    leave(url) {
      clearTimeout(this.timer);
      window.location.assign(url);
    },
  },
};
