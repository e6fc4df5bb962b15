// dicomweb-client (npm) in Node: QIDO-RS, metadata, instances, frames, rendered, STOW-RS.
// usage: node drive_dicomweb_client.mjs TASK   in a folder that has dicomweb-client and xhr2 in node_modules
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(`${process.cwd()}/`));
globalThis.XMLHttpRequest = require('xhr2');
const { api } = require('dicomweb-client');

const task = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const headers = task.token ? { Authorization: `Bearer ${task.token}` } : {};
const client = new api.DICOMwebClient({ url: task.base, headers });
const uids = sample => ({
  studyInstanceUID: sample.study, seriesInstanceUID: sample.series, sopInstanceUID: sample.instance,
});

async function step(does, work) {
  try {
    console.log(JSON.stringify({ does, ok: true, detail: await work() }));
  } catch (error) {
    console.log(JSON.stringify({ does, ok: false, detail: String(error.message ?? error).slice(0, 500) }));
  }
}

function same(what, got, expected) {
  if (String(got) !== String(expected)) throw new Error(`${what}: ${got} instead of ${expected}`);
}

function sumOf(buffer) {
  return new Int16Array(buffer.slice(0, buffer.byteLength - (buffer.byteLength % 2))).reduce((sum, each) => sum + each, 0);
}

await step('search studies and instances', async () => {
  const studies = await client.searchForStudies({ queryParams: { PatientID: task.patient_id } });
  const found = studies.map(study => study['0020000D'].Value[0]);
  same('the stored study is found', found.includes(task.samples[0].study), true);
  const instances = await client.searchForInstances({ studyInstanceUID: task.samples[0].study });
  same('instances', instances.length, task.samples.length);
  return `${studies.length} studies, ${instances.length} instances`;
});

await step('retrieve metadata', async () => {
  const metadata = await client.retrieveSeriesMetadata(uids(task.samples[0]));
  same('instances', metadata.length, task.samples.length);
  return `${metadata.length} instances`;
});

await step('retrieve instances', async () => {
  for (const sample of task.samples) {
    const file = await client.retrieveInstance(uids(sample));
    same(`${sample.name}: DICM`, Buffer.from(file).subarray(128, 132).toString(), 'DICM');
    same(`${sample.name}: UID inside`, Buffer.from(file).includes(sample.instance), true);
  }
  return `${task.samples.length} instances`;
});

await step('retrieve a series', async () => {
  const files = await client.retrieveSeries(uids(task.samples[0]));
  same('instances', files.length, task.samples.length);
  return `${files.length} instances`;
});

await step('retrieve frames', async () => {
  for (const sample of task.samples) {
    const [frame] = await client.retrieveInstanceFrames({ ...uids(sample), frameNumbers: [1] });
    same(`${sample.name}: pixel sum`, sumOf(frame), sample.pixel_sum);
  }
  return `${task.samples.length} encodings, pixel sums equal`;
});

await step('retrieve bulk data', async () => {
  const [metadata] = await client.retrieveInstanceMetadata(uids(task.samples[0]));
  const uri = metadata['7FE00010'].BulkDataURI;
  const [bytes] = await client.retrieveBulkData({ BulkDataURI: uri });
  same('pixel sum', sumOf(bytes), task.samples[0].pixel_sum);
  return `${bytes.byteLength} bytes, pixel sum equal`;
});

await step('retrieve rendered', async () => {
  const [picture] = await client.retrieveInstanceRendered({ ...uids(task.samples[2]), mediaTypes: [{ mediaType: 'image/png' }] });
  same('PNG', Buffer.from(picture).subarray(1, 4).toString(), 'PNG');
  return `${picture.byteLength} bytes of PNG`;
});

await step('store', async () => {
  const sample = task.fresh[1];
  const file = readFileSync(sample.path);
  await client.storeInstances({ datasets: [file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength)] });
  const [frame] = await client.retrieveInstanceFrames({ ...uids(sample), frameNumbers: [1] });
  same('pixel sum', sumOf(frame), sample.pixel_sum);
  return '1 instance, then its frame';
});
