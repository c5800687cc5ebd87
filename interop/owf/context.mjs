// The MdocContext of @owf/mdoc: the package brings the mobile documents, and
// leaves hashes, signatures, key agreement and certificates to its caller.
// Here they are node:crypto, that is OpenSSL, so that nothing of eidos stands
// behind either side of a test.

import {
  createECDH, createHash, createHmac, createPrivateKey, createPublicKey, hkdfSync, randomBytes, sign, timingSafeEqual,
  verify, X509Certificate,
} from 'node:crypto'
import { CoseKey, Curve, KeyType, MacAlgorithm, SignatureAlgorithm } from '@owf/mdoc'

const curveNames = { [Curve['P-256']]: 'P-256', [Curve['P-384']]: 'P-384', [Curve['P-521']]: 'P-521', [Curve.Ed25519]: 'Ed25519' }
const curveNumbers = Object.fromEntries(Object.entries(curveNames).map(([number, name]) => [name, Number(number)]))
const groups = { 32: 'prime256v1', 48: 'secp384r1', 66: 'secp521r1' } // by the bytes of a coordinate
const hashes = { [SignatureAlgorithm.ES256]: 'sha256', [SignatureAlgorithm.ES384]: 'sha384', [SignatureAlgorithm.ES512]: 'sha512' }
const algorithms = {
  'P-256': SignatureAlgorithm.ES256, 'P-384': SignatureAlgorithm.ES384, 'P-521': SignatureAlgorithm.ES512,
  Ed25519: SignatureAlgorithm.EdDSA,
}

const b64 = (bytes) => Buffer.from(bytes).toString('base64url')
const bytes = (buffer) => new Uint8Array(buffer)

// keyOf makes a CoseKey of a JWK. CoseKey.fromJwk knows the curves P-384 and
// P-521 only in lower case. named says that the key tells its algorithm, which
// a key inside a document need not.
export function keyOf(jwk, named = true) {
  const part = (name) => (jwk[name] === undefined ? undefined : bytes(Buffer.from(jwk[name], 'base64url')))
  return CoseKey.create({
    keyType: jwk.kty === 'OKP' ? KeyType.Okp : KeyType.Ec,
    curve: curveNumbers[jwk.crv],
    algorithm: named ? algorithms[jwk.crv] : undefined,
    x: part('x'),
    y: part('y'),
    d: part('d'),
  })
}

export const algorithmOf = (jwk) => algorithms[jwk.crv]

function jwkOf(key) {
  const jwk = { kty: key.keyType === KeyType.Okp ? 'OKP' : 'EC', crv: curveNames[key.curve], x: b64(key.x) }
  if (key.y) jwk.y = b64(key.y)
  if (key.d) jwk.d = b64(key.d)
  return jwk
}

// agree takes the keys as the package hands them over: encoded COSE_Keys when
// a MAC is made, raw bytes when one is verified.
function agree(privateKey, publicKey) {
  const d = privateKey.length in groups ? privateKey : CoseKey.decode(privateKey).d
  const point = publicKey[0] === 4 ? publicKey : CoseKey.decode(publicKey).publicKey
  const ecdh = createECDH(groups[(point.length - 1) / 2])
  ecdh.setPrivateKey(d)
  return ecdh.computeSecret(point)
}

function verifySign1(sign1, key) {
  const algorithm = sign1.protectedHeaders.headers.get(1)
  const expected = algorithms[curveNames[key.curve]]
  if (algorithm !== expected) throw new Error(`algorithm ${algorithm} with a key for ${expected}`)
  const publicKey = createPublicKey({ key: jwkOf(key), format: 'jwk' })
  return verify(hashes[algorithm] ?? null, sign1.toBeSigned, { key: publicKey, dsaEncoding: 'ieee-p1363' }, sign1.signature)
}

// verifyChain walks from the signer's certificate to a trusted one.
function verifyChain({ trustedCertificates, x5chain, now = new Date() }) {
  const current = (c) => {
    if (now < new Date(c.validFrom) || now > new Date(c.validTo)) throw new Error(`not valid at ${now.toISOString()}: ${c.subject}`)
  }
  const issued = (c, ca) => ca.ca && c.checkIssued(ca) && c.verify(ca.publicKey)
  const anchors = trustedCertificates.map((der) => new X509Certificate(der))
  const chain = x5chain.map((der) => new X509Certificate(der))
  for (const [i, cert] of chain.entries()) {
    current(cert)
    const anchor = anchors.find((ca) => issued(cert, ca))
    if (anchor) return current(anchor)
    if (!chain[i + 1] || !issued(cert, chain[i + 1])) break
  }
  throw new Error(`no trusted certificate issued ${chain[0]?.subject}`)
}

function certificateData({ certificate }) {
  const c = new X509Certificate(certificate)
  return {
    issuerName: c.issuer, subjectName: c.subject, serialNumber: c.serialNumber, thumbprint: c.fingerprint256,
    notBefore: new Date(c.validFrom), notAfter: new Date(c.validTo), pem: c.toString(),
  }
}

// context is what the package asks for. large makes its random digestIDs, the
// only thing it draws four bytes for, 2^31 or more, which the standard forbids
// and half of them are anyway.
export function context({ large = false } = {}) {
  return {
    crypto: {
      random: (length) => {
        const drawn = bytes(randomBytes(length))
        if (length === 4 && large) drawn[0] |= 0x80
        return drawn
      },
      digest: ({ digestAlgorithm, bytes: data }) => bytes(createHash(digestAlgorithm.replace('-', '')).update(data).digest()),
      calculateEphemeralMacKey: ({ privateKey, publicKey, sessionTranscriptBytes, info }) => {
        const salt = createHash('sha256').update(sessionTranscriptBytes).digest()
        const k = bytes(hkdfSync('sha256', agree(privateKey, publicKey), salt, info, 32))
        return CoseKey.create({ keyType: KeyType.Oct, algorithm: MacAlgorithm.HS256, k })
      },
    },
    cose: {
      sign1: {
        sign: ({ toBeSigned, key, algorithm }) =>
          bytes(sign(hashes[algorithm] ?? null, toBeSigned, {
            key: createPrivateKey({ key: jwkOf(key), format: 'jwk' }), dsaEncoding: 'ieee-p1363',
          })),
        verify: ({ sign1, key }) => verifySign1(sign1, key),
      },
      mac0: {
        sign: ({ toBeAuthenticated, key }) => bytes(createHmac('sha256', key.k).update(toBeAuthenticated).digest()),
        verify: ({ mac0, key }) => {
          const expected = createHmac('sha256', key.k).update(mac0.toBeAuthenticated).digest()
          return mac0.tag.length === expected.length && timingSafeEqual(expected, mac0.tag)
        },
      },
    },
    x509: {
      getIssuerNameField: ({ certificate, field }) =>
        new X509Certificate(certificate).issuer.split('\n').filter((l) => l.startsWith(`${field}=`)).map((l) => l.slice(field.length + 1)),
      getPublicKey: ({ certificate }) => keyOf(new X509Certificate(certificate).publicKey.export({ format: 'jwk' })),
      verifyCertificateChain: verifyChain,
      getCertificateData: certificateData,
    },
  }
}
