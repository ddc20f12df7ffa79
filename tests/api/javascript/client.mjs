// The stock client `@azure/digital-twins-core` through every operation that it has. Arguments: endpoint; the token comes by TOKEN,
// the certificate to trust by NODE_EXTRA_CA_CERTS. The last line on standard output is JSON: how often each operation was called.
import assert from "node:assert/strict";
import { DigitalTwinsClient } from "@azure/digital-twins-core";

const CONTEXT = "dtmi:dtdl:context;2";
const MOTOR = {
  "@context": CONTEXT,
  "@id": "dtmi:js:Motor;1",
  "@type": "Interface",
  contents: [
    { "@type": "Property", name: "speed", schema: "double" },
    { "@type": "Telemetry", name: "vibration", schema: "double" },
  ],
};
const ROOM = {
  "@context": CONTEXT,
  "@id": "dtmi:js:Room;1",
  "@type": "Interface",
  displayName: "Room",
  contents: [
    { "@type": "Property", name: "name", schema: "string" },
    { "@type": "Property", name: "level", schema: "integer" },
    { "@type": "Telemetry", name: "noise", schema: "double" },
    { "@type": "Component", name: "motor", schema: MOTOR["@id"] },
    {
      "@type": "Relationship",
      name: "next",
      properties: [{ "@type": "Property", name: "width", schema: "double" }],
    },
  ],
};
const room = (values) => JSON.stringify({ $metadata: { $model: ROOM["@id"] }, motor: { $metadata: {} }, ...values });
const edge = (target, width) => ({ $targetId: target, $relationshipName: "next", width });

const calls = {};
const stock = new DigitalTwinsClient(process.argv[2], {
  getToken: async () => ({ token: process.env.TOKEN, expiresOnTimestamp: Date.now() + 3_600_000 }),
});
const client = new Proxy(stock, {
  get(target, name) {
    const member = target[name];
    if (typeof member !== "function") return member;
    return (...given) => {
      calls[name] = (calls[name] ?? 0) + 1;
      return member.apply(target, given);
    };
  },
});

async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

// How many items each page has. The client takes the size of a page from here for its lists, and from its argument for queries.
async function sizes(pages, most) {
  const counts = [];
  for await (const page of pages.byPage({ maxPageSize: most })) counts.push((page.value ?? page).length);
  return counts;
}

async function refused(status, code, promise) {
  const error = await promise.then(
    () => assert.fail(`${code} was expected`),
    (thrown) => thrown,
  );
  const body = JSON.parse(error.response.bodyAsText);
  assert.deepEqual([error.statusCode, body.error.code], [status, code], body.error.message);
}

async function models() {
  const made = await client.createModels([ROOM, MOTOR]);
  assert.deepEqual(made.map((one) => one.id), [ROOM["@id"], MOTOR["@id"]]);
  await refused(409, "ModelAlreadyExists", client.createModels([MOTOR]));
  await refused(400, "DTDLParserError", client.createModels([{ ...MOTOR, "@id": "dtmi:js:Broken;1", contents: [{ "@type": "Property" }] }]));
  const read = await client.getModel(ROOM["@id"], true);
  assert.deepEqual([read.id, read.decommissioned, read.model.displayName], [ROOM["@id"], false, "Room"]);
  await refused(404, "ModelNotFound", client.getModel("dtmi:js:Roof;1"));
  assert.deepEqual((await all(client.listModels())).map((one) => one.id).sort(), [MOTOR["@id"], ROOM["@id"]]);
  assert.deepEqual((await all(client.listModels([MOTOR["@id"]]))).map((one) => one.id), [MOTOR["@id"]]);
  assert.equal((await all(client.listModels([MOTOR["@id"], ROOM["@id"]]))).length, 2);
  assert.deepEqual(await sizes(client.listModels([], true), 1), [1, 1]);
}

async function twins() {
  await refused(404, "DigitalTwinNotFound", client.getDigitalTwin("hall"));
  const made = await client.upsertDigitalTwin("hall", room({ name: "Hall", level: 1 }), { ifNoneMatch: "*" });
  await refused(412, "PreconditionFailed", client.upsertDigitalTwin("hall", room({}), { ifNoneMatch: "*" }));
  const read = await client.getDigitalTwin("hall");
  assert.deepEqual([read.body.level, read.body.$metadata.$model, read.etag], [1, ROOM["@id"], made.etag]);
  const patch = [{ op: "replace", path: "/level", value: 2 }, { op: "remove", path: "/name" }];
  await client.updateDigitalTwin("hall", patch, { ifMatch: read.etag });
  await refused(412, "PreconditionFailed", client.updateDigitalTwin("hall", patch, { ifMatch: read.etag }));
  await refused(400, "JsonPatchInvalid", client.updateDigitalTwin("hall", [{ op: "replace", path: "/colour", value: 1 }]));
  const seen = (await client.getDigitalTwin("hall")).body;
  assert.deepEqual([seen.level, "name" in seen], [2, false]);
  await client.updateComponent("hall", "motor", [{ op: "add", path: "/speed", value: 7.5 }]);
  assert.equal((await client.getComponent("hall", "motor")).body.speed, 7.5);
  await refused(404, "ComponentNotFound", client.getComponent("hall", "moter"));
  for (let k = 0; k < 4; k++) await client.upsertDigitalTwin(`room-${k}`, room({ level: 10 + k }));
  const query = "SELECT * FROM digitaltwins T WHERE T.level >= 10";
  assert.deepEqual((await all(client.queryTwins(query))).map((one) => one.level).sort(), [10, 11, 12, 13]);
  assert.deepEqual(await sizes(client.queryTwins(query, 3)), [3, 1]);
  await refused(400, "SqlQueryError", client.queryTwins("SELECT * FROM digitaltwins T WHERE T.lvel = 1").next());
}

async function relationships() {
  for (let k = 0; k < 4; k++) await client.upsertRelationship("hall", `e${k}`, edge(`room-${k}`, k), { ifNoneMatch: "*" });
  await refused(412, "PreconditionFailed", client.upsertRelationship("hall", "e0", edge("room-0", 1), { ifNoneMatch: "*" }));
  await refused(404, "TargetTwinNotFound", client.upsertRelationship("hall", "e9", edge("nobody", 1)));
  const read = await client.getRelationship("hall", "e1");
  assert.deepEqual([read.body.$targetId, read.body.width], ["room-1", 1]);
  await client.updateRelationship("hall", "e1", [{ op: "replace", path: "/width", value: 9 }], { ifMatch: read.etag });
  assert.deepEqual((await all(client.listRelationships("hall"))).map((one) => one.width), [0, 9, 2, 3]);
  const incoming = await all(client.listIncomingRelationships("room-1"));
  assert.deepEqual(incoming.map((one) => [one.sourceId, one.relationshipId, one.relationshipName]), [["hall", "e1", "next"]]);
  await refused(404, "RelationshipNotFound", client.getRelationship("hall", "e9"));
  await refused(400, "RelationshipsNotDeleted", client.deleteDigitalTwin("hall"));
}

async function messagesAndRoutes() {
  await client.publishTelemetry("hall", { noise: 40.5 }, "m-1");
  assert.equal((await client.getDigitalTwin("hall")).body.noise, 40.5);
  await client.publishComponentTelemetry("hall", "motor", JSON.stringify({ vibration: 0.1 }), "m-2");
  await refused(400, "ValidationFailed", client.publishTelemetry("hall", { noise: "loud" }, "m-3"));
  for (const id of ["r1", "r2", "r3"]) await client.upsertEventRoute(id, "hub", "type = 'x'");
  const read = await client.getEventRoute("r1");
  assert.deepEqual([read.endpointName, read.filter], ["hub", "type = 'x'"]);
  assert.deepEqual((await all(client.listEventRoutes())).map((one) => one.id), ["r1", "r2", "r3"]);
  assert.deepEqual(await sizes(client.listEventRoutes(), 2), [2, 1]);
  for (const id of ["r1", "r2", "r3"]) await client.deleteEventRoute(id);
  await refused(404, "EventRouteNotFound", client.getEventRoute("r1"));
}

async function deletions() {
  await refused(409, "ModelReferencesNotDeleted", client.deleteModel(ROOM["@id"]));
  for (let k = 0; k < 4; k++) await client.deleteRelationship("hall", `e${k}`);
  await refused(412, "PreconditionFailed", client.deleteDigitalTwin("hall", { ifMatch: 'W/"other"' }));
  for (const id of ["hall", "room-0", "room-1", "room-2", "room-3"]) await client.deleteDigitalTwin(id);
  await client.decomissionModel(ROOM["@id"]); // spelt so by the client
  assert.equal((await client.getModel(ROOM["@id"])).decommissioned, true);
  await refused(400, "ModelDecommissioned", client.upsertDigitalTwin("hall", room({})));
  await client.deleteModel(ROOM["@id"]);
  await client.deleteModel(MOTOR["@id"]);
  assert.deepEqual(await all(client.listModels()), []);
}

for (const step of [models, twins, relationships, messagesAndRoutes, deletions]) await step();
const internal = /Page$|All$|^constructor$/;
const operations = Object.getOwnPropertyNames(DigitalTwinsClient.prototype).filter((name) => !internal.test(name));
console.log(JSON.stringify({ operations: operations.sort(), calls }));
