// OHIF's configuration. The same file serves every root: which archive is shown follows from the page's own address.
//
//   /s/<share>/viewer   a share: DICOMweb at /s/<share>/dicom-web, the session cookie is the only credential
//   /viewer             staff: DICOMweb at /dicom-web
//
// Data sources that take a URL from the address (dicomjson, dicomwebproxy) are left out on purpose.
(function () {
  'use strict';

  const share = /^(\/s\/[^/]+)\/viewer(?:\/|$)/.exec(location.pathname);
  const home = share ? share[1] : null;
  const basename = share ? home : '/viewer';
  const dicomweb = location.origin + (share ? home : '') + '/dicom-web';
  const narrow = matchMedia('(max-width: 900px)').matches;

  // Back to the page that asks for the password. Staff have no such page: OHIF's own message stays.
  let leaving = false;
  function leave() {
    if (home && !leaving) {
      leaving = true;
      location.assign(home);
    }
  }

  // 401 ends the visit. 403 and 404 may mean one object only (a share without downloads, a missing thumbnail),
  // so the root is asked before the visitor is sent away.
  let asking = false;
  function onHttpError(error) {
    const status = error && (error.status || (error.request && error.request.status));
    if (status === 401) {
      leave();
    } else if ((status === 403 || status === 404) && home && !asking) {
      asking = true;
      fetch(dicomweb + '/studies?limit=1', { headers: { Accept: 'application/dicom+json' } })
        .then(answer => {
          asking = false;
          if ([401, 403, 404, 410].includes(answer.status)) {
            leave();
          }
        })
        .catch(() => {
          asking = false;
        });
    }
  }

  // OHIF tells its handler of failed searches and metadata, not of failed frames: those are watched here, so that a
  // share switched off while it is being looked at ends the visit too.
  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    if (String(url).startsWith(dicomweb)) {
      this.addEventListener('load', () => this.status === 401 && leave());
    }
    return open.call(this, method, url, ...rest);
  };

  // An address without studies shows all that the share holds (staff: the study list). OHIF reads the address when
  // it starts, so this one small request is waited for.
  function completeAddress() {
    const hasStudies = /[?&]StudyInstanceUIDs=/i.test(location.search);
    if (!share) {
      if (hasStudies && /^\/viewer\/?$/.test(location.pathname)) {
        history.replaceState(null, '', '/viewer/viewer' + location.search);
      }
      return;
    }
    if (hasStudies) {
      return;
    }
    const request = new XMLHttpRequest();
    request.open('GET', dicomweb + '/studies?limit=100', false);
    request.setRequestHeader('Accept', 'application/dicom+json');
    try {
      request.send();
    } catch {
      return;
    }
    if (request.status === 200) {
      const studies = JSON.parse(request.responseText).map(study => study['0020000D'].Value[0]);
      const query = new URLSearchParams(location.search);
      query.set('StudyInstanceUIDs', studies.join(','));
      history.replaceState(null, '', location.pathname + '?' + query);
    } else if ([401, 403, 404, 410].includes(request.status)) {
      leave();
    }
  }
  completeAddress();

  const closed = { $set: true };
  const layout = narrow ? { leftPanelClosed: closed, rightPanelClosed: closed } : { rightPanelClosed: closed };

  // OHIF 3.13.2 lays the parts of its top bar over one another where the screen is narrow: there they follow one
  // another and the bar can be pushed sideways.
  const style = document.createElement('style');
  style.textContent = `@media (max-width: 900px) {
    div:has(> * > [data-cy="return-to-work-list"]) { display: flex; gap: 1rem; overflow-x: auto; scrollbar-width: none; }
    div:has(> * > [data-cy="return-to-work-list"]) > * { position: static; transform: none; translate: none; flex: none; }
    div:has(> [data-cy="return-to-work-list"]) { display: none !important; }
  }`;
  document.head.append(style);

  window.config = {
    name: 'lightbox',
    routerBasename: basename,
    extensions: [],
    modes: [],
    customizationService: [{ 'ohif.tours': { $set: [] } }],
    modesConfiguration: {
      '@ohif/mode-longitudinal': { routes: { 0: { layoutInstance: { props: layout } } } },
    },
    showStudyList: !share,
    investigationalUseDialog: { option: 'never' },
    showWarningMessageForCrossOrigin: false,
    showCPUFallbackMessage: true,
    showLoadingIndicator: true,
    showErrorDetails: 'production',
    strictZSpacingForVolumeViewport: true,
    groupEnabledModesFirst: true,
    maxNumberOfWebWorkers: 3,
    maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
    defaultDataSourceName: 'lightbox',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'lightbox',
        configuration: {
          friendlyName: 'Lightbox',
          name: 'lightbox',
          qidoRoot: dicomweb,
          wadoRoot: dicomweb,
          qidoSupportsIncludeField: true,
          supportsFuzzyMatching: false,
          supportsWildcard: true,
          imageRendering: 'wadors',
          thumbnailRendering: 'wadors',
          enableStudyLazyLoad: true,
          dicomUploadEnabled: false,
          // pdf: shown from /rendered, so nothing is fetched before it is looked at
          singlepart: 'bulkdata,pdf',
          bulkDataURI: { enabled: true, relativeResolution: 'series' },
          omitQuotationForMultipartRequest: true,
          // Frames as they are stored, or their HTJ2K copies where the server has made some: fewer bytes.
          acceptHeader: [
            'multipart/related; type=image/jphc; transfer-syntax=1.2.840.10008.1.2.4.201',
            'multipart/related; type=application/octet-stream; transfer-syntax=*',
          ],
        },
      },
    ],
    httpErrorHandler: onHttpError,
  };
})();
