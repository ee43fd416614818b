// HTML that stays as it is. It comes as JSON, see still.py.
export default {
  props: { content: String },
  template: `<div v-html="html"></div>`,
  data() {
    return { html: JSON.parse(this.content) };
  },
};
