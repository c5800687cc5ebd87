// What @openid4vc/openid4vp leaves to its caller: hashes, signatures,
// certificates and encryption. Here they are node:crypto (OpenSSL) and jose.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, X509Certificate } from 'node:crypto'
import { CompactEncrypt, compactDecrypt, importJWK } from 'jose'

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

// signer signs with one private key.
export const signer = (jwk) => async (_, { header, payload }) => {
  const data = `${encode(header)}.${encode(payload)}`
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const signature = sign(hashes[header.alg] ?? null, Buffer.from(data), { key, dsaEncoding })
  return { jwt: `${data}.${signature.toString('base64url')}`, signerJwk: publicOf(jwk) }
}

const certificate = (base64) => new X509Certificate(Buffer.from(base64, 'base64'))

// keyBehind is the key of a signer: of a certificate that one of the anchors
// has issued, of a DID that is a key, or else the one that was registered.
function keyBehind(signer, anchors, registered) {
  if (signer.method === 'custom' && registered) return createPublicKey({ key: publicOf(registered), format: 'jwk' })
  if (signer.method === 'did') {
    const [did] = signer.didUrl.split('#')
    if (!did.startsWith('did:jwk:')) throw new Error(`no resolver for ${did}`)
    return createPublicKey({ key: JSON.parse(Buffer.from(did.slice('did:jwk:'.length), 'base64url')), format: 'jwk' })
  }
  if (signer.method !== 'x5c') throw new Error(`signer by ${signer.method}`)
  const leaf = certificate(signer.x5c[0])
  if (!anchors.map(certificate).some((ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey))) throw new Error('certificate not trusted')
  return leaf.publicKey
}

export const verifier = (anchors, registered) => async (signer, { header, compact }) => {
  const key = keyBehind(signer, anchors, registered)
  const jwk = key.export({ format: 'jwk' })
  if (algorithmOf(jwk) !== header.alg) throw new Error(`algorithm ${header.alg} with a key for ${algorithmOf(jwk)}`)
  const end = compact.lastIndexOf('.')
  const signature = Buffer.from(compact.slice(end + 1), 'base64url')
  return { verified: verify(hashes[header.alg] ?? null, Buffer.from(compact.slice(0, end)), { key, dsaEncoding }, signature), signerJwk: jwk }
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
