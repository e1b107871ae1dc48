// Prints a topic's first decision as JSON: BOOTSTRAP TOPIC DESCRIPTOR_SET.
const { readFileSync } = require("fs");
const { Kafka, logLevel } = require("kafkajs");
const protobuf = require("protobufjs");
const { FileDescriptorSet } = require("protobufjs/ext/descriptor");

const [bootstrap, topic, descriptors] = process.argv.slice(2);
const AS_TEXT = { enums: String, longs: String, bytes: String };
const files = FileDescriptorSet.decode(readFileSync(descriptors));
const Decision = protobuf.Root.fromDescriptor(files).lookupType("scoring.v1.Decision");
// A root made of descriptors keeps the names of the .proto files; JSON has its own.
const named = (value) =>
  Array.isArray(value)
    ? value.map(named)
    : value && value.constructor === Object
      ? Object.fromEntries(Object.entries(value).map(([k, v]) => [camel(k), named(v)]))
      : value;
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const asJson = ({ headers, value }) =>
  String(headers["content-type"]) === "application/json"
    ? String(value)
    : JSON.stringify(named(Decision.toObject(Decision.decode(value), AS_TEXT)));

const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: "js-" + topic, sessionTimeout: 6000 });
consumer
  .connect()
  .then(() => consumer.subscribe({ topic, fromBeginning: true }))
  .then(() =>
    consumer.run({
      eachMessage: async ({ message }) => {
        console.log(asJson(message));
        process.exit(0);
      },
    }),
  );
