// The page that drive_cornerstone.py opens: loads frames by Cornerstone's DICOM image loader, sums up their pixels.
import { imageLoader, init as initCore } from '@cornerstonejs/core';
import { init as initLoader, wadors } from '@cornerstonejs/dicom-image-loader';

window.prepare = async (token, wasmBasePath) => {
  window.headers = token ? { Authorization: `Bearer ${token}` } : {};
  await initCore();
  initLoader({
    maxWebWorkers: 1,
    wasmBasePath,
    beforeSend: (_xhr, _imageId, headers) => ({ ...headers, ...window.headers }),
  });
};

window.sumOfFrame = async (instanceUrl) => {
  const answer = await fetch(`${instanceUrl}/metadata`, {
    headers: { ...window.headers, Accept: 'application/dicom+json' },
  });
  const [metadata] = await answer.json();
  const imageId = `wadors:${instanceUrl}/frames/1`;
  wadors.metaDataManager.add(imageId, metadata);
  const image = await imageLoader.loadAndCacheImage(imageId);
  return { sum: image.getPixelData().reduce((sum, each) => sum + each, 0), columns: image.columns, rows: image.rows };
};
