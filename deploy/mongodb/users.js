// Run once, by the image of MongoDB, when the data directory is new. batchbus gets a user that may use its own two databases
// and nothing else; the root user that the image makes is for people.
db.getSiblingDB("admin").createUser({
  user: "batchbus",
  pwd: process.env.MONGODB_USER_PASSWORD,
  roles: [
    { role: "readWrite", db: "batchbus" },
    { role: "readWrite", db: "catalog" },
  ],
});
