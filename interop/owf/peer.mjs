// The other side of the tests: issuer, holder and verifier made of @owf/mdoc.
//
// Each line of standard input is a JSON array of tasks {"do": name, …}, each
// line of standard output the array of their answers, in order: {"ok": true, …}
// or {"ok": false, "why": "…"}.
// Bytes are hexadecimal, keys are JWKs, times RFC 3339. A transcript is told by
// what each side of a conversation knows, never by its bytes: see transcriptOf.

import { createInterface } from 'node:readline'
import {
  cborDecode, cborEncode, DataItem, DeviceAuth, DeviceAuthentication, DeviceEngagement, DeviceKey, DeviceMac, DeviceNamespaces, DeviceRequest,
  DeviceResponse, DeviceSigned, DocRequest, Document, EReaderKey, Header, Holder, Issuer, IssuerSigned, ItemsRequest,
  limitDisclosureToDeviceRequestNameSpaces, MacAlgorithm, NfcHandover, ProtectedHeaders, ReaderAuth,
  SessionTranscript, UnprotectedHeaders, Verifier,
} from '@owf/mdoc'
import { algorithmOf, context, keyOf } from './context.mjs'

const hex = (bytes) => Buffer.from(bytes).toString('hex')
const bin = (text) => new Uint8Array(Buffer.from(text, 'hex'))
const bins = (texts) => texts.map(bin)
const ctx = context()
const nothing = new Uint8Array(0)

async function transcriptOf(t) {
  const jwkThumbprint = t.thumbprint ? bin(t.thumbprint) : undefined
  switch (t.flow) {
    case 'qr':
      return SessionTranscript.forQrHandover({
        deviceEngagement: DeviceEngagement.decode(bin(t.engagement)), eReaderKey: EReaderKey.decode(bin(t.eReaderKey)),
      })
    case 'nfc':
      return SessionTranscript.create({
        deviceEngagement: DeviceEngagement.decode(bin(t.engagement)), eReaderKey: EReaderKey.decode(bin(t.eReaderKey)),
        handover: NfcHandover.create({ selectMessage: bin(t.select), requestMessage: t.request ? bin(t.request) : undefined }),
      })
    case 'openid4vp':
      return SessionTranscript.forOid4Vp({ clientId: t.clientId, nonce: t.nonce, responseUri: t.responseUri, jwkThumbprint }, ctx)
    case 'openid4vp-dcapi':
      return SessionTranscript.forOid4VpDcApi({ origin: t.origin, nonce: t.nonce, jwkThumbprint }, ctx)
    case 'openid4vp-draft18':
      return SessionTranscript.forOid4VpDraft18({
        clientId: t.clientId, responseUri: t.responseUri, verifierGeneratedNonce: t.nonce, mdocGeneratedNonce: t.mdocNonce,
      }, ctx)
    default:
      throw new Error(`flow ${t.flow}`)
  }
}

// collector gathers the package's own checks; one that failed is a refusal.
function collector() {
  const why = []
  return { why, onCheck: (c) => c.status === 'FAILED' && why.push(c.reason ?? c.check) }
}

// elements are the values as the package decoded them, encoded again.
function elements(issuerSigned) {
  const out = {}
  for (const [ns, items] of issuerSigned.issuerNamespaces?.issuerNamespaces ?? []) {
    out[ns] = Object.fromEntries(items.map((i) => [i.elementIdentifier, hex(cborEncode(i.elementValue))]))
  }
  return out
}

const wanted = (docRequest) =>
  Object.fromEntries([...docRequest.itemsRequest.namespaces].map(([ns, ids]) => [ns, Object.fromEntries(ids)]))

// authenticated is what a device signs or authenticates.
const authenticated = (sessionTranscript, docType, deviceNamespaces) =>
  DeviceAuthentication.create({ sessionTranscript, docType, deviceNamespaces }).encode({ asDataItem: true })

// verifyMAC takes the steps that Verifier.verifyDeviceResponse cannot finish
// for a deviceMac, with the package's parts.
async function verifyMAC(document, sessionTranscript, readerKey) {
  const mac = document.deviceSigned.deviceAuth.deviceMac
  if (mac.protectedHeaders.headers.get(Header.Algorithm) !== MacAlgorithm.HS256) return false
  mac.detachedPayload = authenticated(sessionTranscript, document.docType, document.deviceSigned.deviceNamespaces)
  mac.externalAad = nothing // or the package leaves the member out of the MAC_structure
  const publicKey = document.issuerSigned.issuerAuth.mobileSecurityObject.deviceKeyInfo.deviceKey
  return mac.verify({ publicKey, privateKey: keyOf(readerKey), sessionTranscript }, ctx)
}

// presentMAC makes a response with a deviceMac of the package's parts, for
// Holder.createDeviceResponseForDeviceRequest writes another algorithm.
async function presentMAC(issuerSigned, docRequest, sessionTranscript, deviceKey, readerKey) {
  const docType = docRequest.itemsRequest.docType
  const deviceNamespaces = DeviceNamespaces.create({ deviceNamespaces: new Map() })
  const deviceMac = await DeviceMac.create({
    protectedHeaders: ProtectedHeaders.create({ protectedHeaders: new Map([[Header.Algorithm, MacAlgorithm.HS256]]) }),
    unprotectedHeaders: UnprotectedHeaders.create({}),
    detachedPayload: authenticated(sessionTranscript, docType, deviceNamespaces),
    externalAad: nothing,
    privateKey: keyOf(deviceKey),
    ephemeralKey: keyOf(readerKey),
    sessionTranscript,
  }, ctx)
  return DeviceResponse.createSimple({
    documents: [Document.create({
      docType,
      issuerSigned: IssuerSigned.create({
        issuerNamespaces: limitDisclosureToDeviceRequestNameSpaces(issuerSigned, docRequest), issuerAuth: issuerSigned.issuerAuth,
      }),
      deviceSigned: DeviceSigned.create({ deviceNamespaces, deviceAuth: DeviceAuth.create({ deviceMac }) }),
    })],
  })
}

const tasks = {
  async transcript({ transcript }) {
    return { transcript: hex((await transcriptOf(transcript)).encode()) }
  },

  // issue makes a document; largeDigestIDs draws them as the package does by itself half of the time.
  async issue({ docType, nameSpaces, signer, chain, deviceKey, validity, digestAlgorithm, largeDigestIDs }) {
    const issuer = new Issuer(docType, largeDigestIDs ? context({ large: true }) : ctx)
    for (const [ns, values] of Object.entries(nameSpaces)) {
      issuer.addIssuerNamespace(ns, Object.fromEntries(Object.entries(values).map(([id, value]) => [id, cborDecode(bin(value))])))
    }
    const issued = await issuer.sign({
      signingKey: keyOf(signer),
      algorithm: algorithmOf(signer),
      digestAlgorithm,
      certificates: bins(chain),
      deviceKeyInfo: { deviceKey: DeviceKey.fromEncodedStructure(keyOf({ ...deviceKey, d: undefined }, false).encodedStructure) },
      validityInfo: Object.fromEntries(Object.entries(validity).map(([name, time]) => [name, new Date(time)])),
    })
    return { issuerSigned: hex(issued.encode()) }
  },

  // accept verifies what an issuer handed over.
  async accept({ issuerSigned, anchors, now }) {
    const { why, onCheck } = collector()
    const parsed = IssuerSigned.decode(bin(issuerSigned))
    await Holder.verifyIssuerSigned({
      issuerSigned: parsed, trustedCertificates: bins(anchors), now: new Date(now), verificationCallback: onCheck,
    }, ctx)
    return { why, elements: elements(parsed) }
  },

  // present answers a DeviceRequest. wholesale makes a MAC as the package does by itself.
  async present({ issuerSigned, request, transcript, deviceKey, readerKey, wholesale }) {
    const held = IssuerSigned.decode(bin(issuerSigned))
    const deviceRequest = DeviceRequest.decode(bin(request))
    const sessionTranscript = await transcriptOf(transcript)
    if (readerKey && !wholesale) {
      const response = await presentMAC(held, deviceRequest.docRequests[0], sessionTranscript, deviceKey, readerKey)
      return { response: hex(response.encode()) }
    }
    const signingKey = keyOf(deviceKey)
    const response = await Holder.createDeviceResponseForDeviceRequest({
      deviceRequest, sessionTranscript, issuerSigned: [held],
      ...(readerKey ? { mac: { signingKey, ephemeralKey: keyOf(readerKey) } } : { signature: { signingKey } }),
    }, ctx)
    return { response: hex(response.encode()) }
  },

  // verify checks a DeviceResponse. wholesale verifies a MAC as the package does by itself.
  async verify({ response, request, transcript, anchors, now, readerKey, wholesale }) {
    const { why, onCheck } = collector()
    const deviceResponse = DeviceResponse.decode(bin(response))
    const [document] = deviceResponse.documents
    const sessionTranscript = await transcriptOf(transcript)
    const common = { trustedCertificates: bins(anchors), now: new Date(now) }
    if (readerKey && !wholesale) {
      await Holder.verifyIssuerSigned({ ...common, issuerSigned: document.issuerSigned, verificationCallback: onCheck }, ctx)
      if (!(await verifyMAC(document, sessionTranscript, readerKey))) why.push('Device MAC must be valid')
    } else {
      await Verifier.verifyDeviceResponse({
        ...common, deviceResponse, sessionTranscript, onCheck,
        deviceRequest: request ? DeviceRequest.decode(bin(request)) : undefined,
        ephemeralReaderKey: readerKey ? keyOf(readerKey) : undefined,
      }, ctx)
    }
    return { why, docType: document.docType, elements: elements(document.issuerSigned) }
  },

  // request asks, with reader authentication if there is a reader.
  async request({ docType, nameSpaces, transcript, reader, chain }) {
    const itemsRequest = ItemsRequest.create({ docType, namespaces: nameSpaces })
    // The package verifies ReaderAuthenticationBytes, but exports nothing to make them with.
    const toBeSigned = async () => cborEncode(DataItem.fromData([
      'ReaderAuthentication', (await transcriptOf(transcript)).encodedStructure, DataItem.fromData(itemsRequest.encodedStructure),
    ]))
    const readerAuth = reader && await ReaderAuth.create({
      protectedHeaders: ProtectedHeaders.create({ protectedHeaders: new Map([[Header.Algorithm, algorithmOf(reader)]]) }),
      unprotectedHeaders: UnprotectedHeaders.create({ unprotectedHeaders: new Map([[Header.X5Chain, bin(chain[0])]]) }),
      detachedPayload: await toBeSigned(),
      signingKey: keyOf(reader),
    }, ctx)
    return { request: hex(DeviceRequest.create({ docRequests: [DocRequest.create({ itemsRequest, readerAuth })] }).encode()) }
  },

  // asked says what a DeviceRequest asks for, and verifies reader authentication.
  async asked({ request, transcript }) {
    const { why, onCheck } = collector()
    const deviceRequest = DeviceRequest.decode(bin(request))
    await Holder.verifyDeviceRequest({ deviceRequest, sessionTranscript: await transcriptOf(transcript), verificationCallback: onCheck }, ctx)
    return {
      why,
      version: deviceRequest.version,
      documents: deviceRequest.docRequests.map((r) => ({
        docType: r.itemsRequest.docType, nameSpaces: wanted(r), authenticated: r.readerAuth !== undefined,
      })),
    }
  },
}

async function answer(task) {
  try {
    const { why = [], ...rest } = await tasks[task.do](task)
    return { ok: why.length === 0, why: why.join('; '), ...rest }
  } catch (err) {
    return { ok: false, why: `${err.name}: ${err.message}` }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answers = []
  for (const task of JSON.parse(line)) answers.push(await answer(task))
  process.stdout.write(`${JSON.stringify(answers)}\n`)
}
