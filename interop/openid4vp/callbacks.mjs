// What @openid4vc/openid4vp leaves to its caller: hashes, signatures,
// certificates and encryption. Here they are node:crypto (OpenSSL) and jose.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, X509Certificate } from 'node:crypto'
import { CompactEncrypt, compactDecrypt, decodeJwt, decodeProtectedHeader, importJWK } from 'jose'

const algorithms = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512', Ed25519: 'EdDSA' }
const hashes = { ES256: 'sha256', ES384: 'sha384', ES512: 'sha512' }
const dsaEncoding = 'ieee-p1363'

const text = new TextEncoder()
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

export const algorithmOf = (jwk) => algorithms[jwk.crv]

export const publicOf = ({ kty, crv, x, y }) => ({ kty, crv, x, y })

// thumbprint is that of RFC 7638, in hexadecimal.
export const thumbprint = ({ kty, crv, x, y }) => createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('hex')

// didOf is the DID of did:jwk that a key is.
export const didOf = (jwk) => `did:jwk:${encode(publicOf(jwk))}`

// newEncryptionKey is a private JWK to have answers encrypted to.
export function newEncryptionKey() {
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  return { ...jwk, kid: `key-${thumbprint(jwk).slice(0, 8)}`, use: 'enc', alg: 'ECDH-ES' }
}

export const hash = async (data, algorithm) => new Uint8Array(createHash(algorithm.replace('-', '')).update(data).digest())

// signer signs with one private key, with more in the header than the package
// has a place for.
export const signer = (jwk, more) => async (_, { header, payload }) => {
  const data = `${encode({ ...header, ...more })}.${encode(payload)}`
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const signature = sign(hashes[header.alg] ?? null, Buffer.from(data), { key, dsaEncoding })
  return { jwt: `${data}.${signature.toString('base64url')}`, signerJwk: publicOf(jwk) }
}

const certificate = (base64) => new X509Certificate(Buffer.from(base64, 'base64'))

function verified(compact, key) {
  const { alg } = decodeProtectedHeader(compact)
  const { crv } = key.export({ format: 'jwk' })
  if (algorithms[crv] !== alg) throw new Error(`algorithm ${alg} with a key for ${algorithms[crv]}`)
  const end = compact.lastIndexOf('.')
  return verify(hashes[alg] ?? null, Buffer.from(compact.slice(0, end)), { key, dsaEncoding }, Buffer.from(compact.slice(end + 1), 'base64url'))
}

const keyOf = (jwk) => createPublicKey({ key: publicOf(jwk), format: 'jwk' })

// keyBehind is the key of who signs: of a certificate that one of the anchors
// has issued, of a DID that is a key, of an attestation by the attester, or else
// the one that was registered.
function keyBehind(signer, header, { anchors = [], attester, registered }) {
  if (signer.method === 'x5c') {
    const leaf = certificate(signer.x5c[0])
    if (!anchors.map(certificate).some((ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey))) throw new Error('certificate not trusted')
    return leaf.publicKey
  }
  if (signer.method === 'did') {
    const [did] = signer.didUrl.split('#')
    if (!did.startsWith('did:jwk:')) throw new Error(`no resolver for ${did}`)
    return keyOf(JSON.parse(Buffer.from(did.slice('did:jwk:'.length), 'base64url')))
  }
  if (signer.method !== 'custom') throw new Error(`signer by ${signer.method}`)
  if (!header.jwt) return keyOf(registered)
  if (!verified(header.jwt, keyOf(attester))) throw new Error('attestation not trusted')
  return keyOf(decodeJwt(header.jwt).cnf.jwk)
}

// verifier verifies with the keys of those whom it knows.
export const verifier = (known) => async (signer, { header, compact }) => {
  const key = keyBehind(signer, header, known)
  return { verified: verified(compact, key), signerJwk: key.export({ format: 'jwk' }) }
}

export function getX509CertificateMetadata(base64) {
  const names = (certificate(base64).subjectAltName ?? '').split(', ')
  const of = (kind) => names.filter((n) => n.startsWith(kind)).map((n) => n.slice(kind.length))
  return { sanDnsNames: of('DNS:'), sanUriNames: of('URI:') }
}

export async function encryptJwe({ publicJwk, alg, enc, apu, apv }, data) {
  const parties = { apu: apu && Buffer.from(apu, 'base64url'), apv: apv && Buffer.from(apv, 'base64url') }
  const jwe = await new CompactEncrypt(text.encode(data))
    .setProtectedHeader({ alg, enc, kid: publicJwk.kid })
    .setKeyManagementParameters(parties)
    .encrypt(await importJWK(publicJwk, alg))
  return { jwe, encryptionJwk: publicJwk }
}

// decrypter decrypts with one private key, what was encrypted as HAIP 1.0 has it.
export const decrypter = (jwk) => async (jwe) => {
  try {
    const { plaintext } = await compactDecrypt(jwe, await importJWK(jwk, 'ECDH-ES'), {
      keyManagementAlgorithms: ['ECDH-ES'], contentEncryptionAlgorithms: ['A128GCM', 'A256GCM'],
    })
    return { decrypted: true, decryptionJwk: publicOf(jwk), payload: new TextDecoder().decode(plaintext) }
  } catch {
    return { decrypted: false }
  }
}
