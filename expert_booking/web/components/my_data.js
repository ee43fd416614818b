// Downloads a customer's data, or deletes it after a confirmation in a dialog. The server answers plain HTTP requests.
export default {
  props: { email: String, isHost: Boolean, upcoming: Number },
  template: `
    <section class="panel my-data" aria-labelledby="my-data">
      <h2 id="my-data">Your data</h2>
      <p class="soft small">See what is stored about <b class="address">{{ email }}</b>, or delete it. <a href="/privacy">How we handle your data</a></p>
      <div class="actions">
        <a class="button quiet" href="/my-bookings/data.json" download="my-data.json">Download my data</a>
        <button ref="ask" class="button quiet danger" type="button" @click="ask">Delete my data</button>
      </div>
      <dialog ref="dialog" class="dialog" aria-labelledby="delete-data">
        <form class="form" method="post" action="/my-bookings/delete" @submit="sending = true">
          <h2 id="delete-data">Delete your data?</h2>
          <p>This concerns everything stored about <b class="address">{{ email }}</b>. It cannot be undone.</p>
          <div>
            <h3>What is deleted</h3>
            <ul>
              <li v-if="upcoming && !keep">{{ upcoming === 1 ? "Your upcoming booking is cancelled" : "Your " + upcoming + " upcoming bookings are cancelled" }}, and we'll let the {{ upcoming === 1 ? "expert" : "experts" }} know</li>
              <li>Your name, email address, phone number, notes, time zone and reasons in {{ keep ? "all other" : "all" }} bookings</li>
              <li>Records of emails, times on hold, calendar addresses, and all sign-ins with this address</li>
            </ul>
          </div>
          <div>
            <h3>What stays</h3>
            <ul>
              <li v-if="keep">{{ upcoming === 1 ? "Your upcoming booking. Its data is deleted once the session is over" : "Your upcoming bookings. Their data is deleted once the sessions are over" }}</li>
              <li>The time, status and history of your sessions, without your name</li>
              <li>Emails in your mailbox and the experts', and backups until they expire</li>
              <li v-if="isHost">Your profile and calendar as an expert, or your role as an admin</li>
            </ul>
          </div>
          <label v-if="upcoming" class="check"><input type="checkbox" name="keep_upcoming" value="1" v-model="keep">
            <span>Keep my upcoming {{ upcoming === 1 ? "booking until it is over" : "bookings until they are over" }}</span></label>
          <div class="actions">
            <button class="button danger" type="submit" :aria-disabled="sending">{{ sending ? "Just a moment …" : "Yes, delete my data" }}</button>
            <button class="button quiet" type="button" @click="$refs.dialog.close()">Keep my data</button>
          </div>
        </form>
      </dialog>
    </section>`,
  data() {
    return { keep: false, sending: false };
  },
  methods: {
    ask() {
      this.keep = this.sending = false;
      this.$refs.dialog.showModal();
    },
  },
};
