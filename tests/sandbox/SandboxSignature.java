import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Checks the signature of a request as AWS does, from AWS's description and without AWS's code:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. It does not check the request's age.
 */
final class SandboxSignature {

    private static final Pattern AUTHORIZATION = Pattern.compile(
            "AWS4-HMAC-SHA256 Credential=([^/]+)/(\\d{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})");

    private SandboxSignature() {
    }

    /**
     * Returns the region that the request was signed for, or nothing if it was not signed with this key for this service, and with it
     * every header that AWS acts upon.
     */
    static Optional<String> region(SandboxHttp.Request request, String accessKeyId, String secretAccessKey, String service) {
        Matcher authorization = AUTHORIZATION.matcher(request.headers().getOrDefault("authorization", ""));
        if (!authorization.matches() || !authorization.group(1).equals(accessKeyId) || !authorization.group(4).equals(service)) {
            return Optional.empty();
        }
        List<String> signedHeaders = List.of(authorization.group(5).split(";"));
        boolean isAllSigned = request.headers().keySet().stream()
                .filter(header -> header.equals("host") || header.startsWith("x-amz-"))
                .allMatch(signedHeaders::contains);
        if (!isAllSigned || !request.headers().keySet().containsAll(signedHeaders)) {
            return Optional.empty();
        }
        String region = authorization.group(3);
        String date = authorization.group(2);
        String scope = String.join("/", date, region, service, "aws4_request");
        String text = String.join("\n", "AWS4-HMAC-SHA256", request.headers().get("x-amz-date"), scope,
                hash(canonical(request, signedHeaders)));
        byte[] key = ("AWS4" + secretAccessKey).getBytes(StandardCharsets.UTF_8);
        for (String part : scope.split("/")) {
            key = hmac(key, part);
        }
        String signature = HexFormat.of().formatHex(hmac(key, text));
        return Optional.of(region).filter(unused -> signature.equals(authorization.group(6)));
    }

    private static String canonical(SandboxHttp.Request request, List<String> signedHeaders) {
        // Every service but S3 encodes the path once more.
        String path = Arrays.stream(request.path().split("/", -1)).map(SandboxHttp::encode).collect(Collectors.joining("/"));
        String query = new TreeMap<>(request.query()).entrySet().stream()
                .map(parameter -> SandboxHttp.encode(parameter.getKey()) + "=" + SandboxHttp.encode(parameter.getValue()))
                .collect(Collectors.joining("&"));
        String headers = signedHeaders.stream()
                .map(header -> header + ":" + request.headers().get(header).strip().replaceAll(" +", " ") + "\n")
                .collect(Collectors.joining());
        return String.join("\n", request.method(), path, query, headers, String.join(";", signedHeaders), hash(request.body()));
    }

    private static String hash(String text) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    private static byte[] hmac(byte[] key, String text) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java has HmacSHA256", e);
        }
    }
}
