// What components share that ask Python for something, see question.py: the wait for its answer, and the question that
// comes before.
export const NO_RESPONSE = "No response. Check your connection and try again.";
const TIMEOUT = 20000; // milliseconds

// A mixin. `request` emits an event, and Python answers by calling `done`.
export const request = {
  data() {
    return { sending: false, error: "", timer: null };
  },
  methods: {
    request(event, ...values) {
      if (this.sending) return;
      this.sending = true;
      this.error = "";
      // A response that never comes must not lock the component.
      this.timer = setTimeout(() => this.done(NO_RESPONSE), TIMEOUT);
      this.$emit(event, ...values);
    },
    done(error) {
      clearTimeout(this.timer);
      this.sending = false;
      this.error = error;
    },
  },
};

// The same with a question that replaces the buttons while `asking` says what about. The component has `opener(asked)`,
// which returns the button that asked.
export const question = {
  mixins: [request],
  data() {
    return { asking: null };
  },
  methods: {
    ask(what) {
      this.asking = what;
      this.error = "";
      this.$nextTick(() => this.$refs.question.focus());
    },
    keep() {
      if (this.sending) return;
      const asked = this.asking;
      this.asking = null;
      this.error = "";
      this.$nextTick(() => this.opener(asked)?.focus());
    },
    // The focused element is about to disappear, so move the focus to the notice that explains why.
    focusNews() {
      if (this.$el.contains(document.activeElement)) this.$nextTick(() => document.getElementById("news")?.focus());
    },
  },
};
