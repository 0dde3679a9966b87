// The contract outside a component: nothing, until the fake host of `bootsplice-sdk/testing` puts itself here for a call.
const absent = new Proxy({}, {
  get(_, name) {
    throw new Error(`${String(name)}: there is no host; call the generator through Host of bootsplice-sdk/testing`);
  },
});

export const contract = { blobs: absent, cache: absent, fetch: absent, inventory: absent, job: absent, trust: absent };
