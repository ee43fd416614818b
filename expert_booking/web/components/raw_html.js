// Trusted HTML, passed as JSON; see raw_html.py.
export default {
  props: { json: String, tag: String },
  template: `<component :is="tag || 'div'" v-html="html"></component>`,
  computed: {
    html() {
      return JSON.parse(this.json);
    },
  },
};
