// The other side of the tests: issuer, holder and verifier made of
// @sd-jwt/sd-jwt-vc. The package leaves cryptography and certificates to its
// caller; here they are node:crypto, that is OpenSSL, so that nothing of eidos
// stands behind this side.
//
// Each line of standard input is a JSON array of tasks {"do": name, …}, each
// line of standard output the array of their answers, in order: {"ok": true, …}
// or {"ok": false, "why": "…"}.
// Certificates are DER in base64, keys are JWKs, times seconds since 1970.

import { createHash, createPrivateKey, createPublicKey, randomBytes, sign, verify, X509Certificate } from 'node:crypto'
import { createInterface } from 'node:readline'
import { SDJwtVcInstance } from '@sd-jwt/sd-jwt-vc'

const algorithms = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512', Ed25519: 'EdDSA' }
const hashes = { ES256: 'sha256', ES384: 'sha384', ES512: 'sha512' }
const dsaEncoding = 'ieee-p1363'

const certificate = (base64) => new X509Certificate(Buffer.from(base64, 'base64'))
const headerOf = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[0], 'base64url'))

const signer = (jwk) => (data) =>
  sign(hashes[algorithms[jwk.crv]] ?? null, Buffer.from(data), { key: createPrivateKey({ key: jwk, format: 'jwk' }), dsaEncoding })
    .toString('base64url')

function verified(data, signature, key) {
  const { alg } = headerOf(data)
  const { crv } = key.export({ format: 'jwk' })
  if (algorithms[crv] !== alg) throw new Error(`algorithm ${alg} with a key for ${algorithms[crv]}`)
  return verify(hashes[alg] ?? null, Buffer.from(data), { key, dsaEncoding }, Buffer.from(signature, 'base64url'))
}

// chainVerifier verifies with the leaf of x5c, once a trusted certificate has issued it.
const chainVerifier = (anchors, now) => (data, signature) => {
  const at = new Date(now * 1000)
  const current = (c) => at >= new Date(c.validFrom) && at <= new Date(c.validTo)
  const leaf = certificate(headerOf(data).x5c[0])
  const trusted = anchors.map(certificate).some((ca) => ca.ca && current(ca) && leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
  if (!trusted || !current(leaf)) throw new Error('certificate not trusted')
  return verified(data, signature, leaf.publicKey)
}

const hasher = (data, algorithm) =>
  new Uint8Array(createHash(algorithm.replace('-', '')).update(typeof data === 'string' ? data : Buffer.from(data)).digest())

const tasks = {
  async issue({ payload, frame, key, chain, hash }) {
    const issuer = new SDJwtVcInstance({
      hasher, hashAlg: hash, signer: signer(key), signAlg: algorithms[key.crv], saltGenerator: (n) => randomBytes(n).toString('base64url'),
    })
    return { credential: await issuer.issue(payload, frame, { header: { x5c: chain } }) }
  },

  async present({ credential, frame, key, audience, nonce, now }) {
    const holder = new SDJwtVcInstance({ hasher, kbSigner: signer(key), kbSignAlg: algorithms[key.crv] })
    return { credential: await holder.present(credential, frame, { kb: { payload: { iat: now, aud: audience, nonce } } }) }
  },

  // verify takes a credential, or with a nonce a presentation. statusList is the
  // token behind its status, typeMetadata are documents by their types.
  async verify({ credential, anchors, now, nonce, statusList, typeMetadata }) {
    const verifier = new SDJwtVcInstance({
      hasher,
      verifier: chainVerifier(anchors, now),
      kbVerifier: (data, signature, { cnf }) => verified(data, signature, createPublicKey({ key: cnf.jwk, format: 'jwk' })),
      statusListFetcher: async () => statusList,
      loadTypeMetadataFormat: typeMetadata !== undefined,
      vctFetcher: async (vct) => typeMetadata[vct],
    })
    const { payload, kb, typeMetadata: type } = await verifier.verify(credential, { currentDate: now, keyBindingNonce: nonce })
    return { payload, audience: kb?.payload.aud, type: type?.mergedTypeMetadata }
  },

  async json({ credential }) {
    const peer = new SDJwtVcInstance({ hasher })
    return { flattened: peer.toFlattenJSON(credential).toJson(), general: peer.toGeneralJSON(credential).toJson() }
  },
}

async function answer(task) {
  try {
    return { ok: true, ...(await tasks[task.do](task)) }
  } catch (err) {
    return { ok: false, why: `${err.name}: ${err.message}` }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answers = []
  for (const task of JSON.parse(line)) answers.push(await answer(task))
  process.stdout.write(`${JSON.stringify(answers)}\n`)
}
