// Says what has not been saved, and asks before the page is left with it.
export default {
  props: { changes: Array, note: String, sending: Boolean },
  template: `
    <section v-show="changes.length" class="save-bar" aria-label="Unsaved changes">
      <p><b>Unsaved changes:</b> {{ changes.slice(0, 3).join("; ") }}{{ changes.length > 3 ? " and " + (changes.length - 3) + " more" : "" }}<span v-if="note" class="save-note">{{ note }}</span></p>
      <div class="actions">
        <button type="button" class="button quiet" :disabled="sending" @click="$emit('discard')">Discard</button>
        <button type="button" class="button" :disabled="sending" @click="$emit('save')">Save</button>
      </div>
    </section>`,
  mounted() {
    window.addEventListener("beforeunload", this.ask);
  },
  unmounted() {
    window.removeEventListener("beforeunload", this.ask);
  },
  methods: {
    ask(event) {
      if (this.changes.length) event.preventDefault();
    },
  },
};
