import java.io.ByteArrayInputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.signer.Aws4Signer;
import software.amazon.awssdk.auth.signer.params.Aws4SignerParams;
import software.amazon.awssdk.http.SdkHttpFullRequest;
import software.amazon.awssdk.http.SdkHttpMethod;
import software.amazon.awssdk.regions.Region;

/**
 * The region and time that a request to AWS was signed for. The request is signed again by the SDK, and the signatures are compared. This
 * is the SDK's older signer, because the newer one also signs a header that the aws command does not send.
 */
@SuppressWarnings("deprecation")
record SandboxSignature(String region, Instant time) {

    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmssX").withZone(ZoneOffset.UTC);

    private static final Pattern AUTHORIZATION =
            Pattern.compile("AWS4-HMAC-SHA256 Credential=[^/]+/\\d{8}/([^/]+)/.*, ?SignedHeaders=([^,]+), ?Signature=.*");

    /** Returns nothing unless the request, with every header that AWS uses, was signed with this key for this service. */
    static Optional<SandboxSignature> of(SandboxHttp.Request request, AwsBasicCredentials key, String service) {
        String received = request.headers().getOrDefault("authorization", "");
        Matcher authorization = AUTHORIZATION.matcher(received);
        if (!authorization.matches()) {
            return Optional.empty();
        }
        try {
            Instant time = LocalDateTime.parse(request.headers().getOrDefault("x-amz-date", ""), TIME).toInstant(ZoneOffset.UTC);
            SandboxSignature signature = new SandboxSignature(authorization.group(1), time);
            SdkHttpFullRequest unsigned = unsigned(request, List.of(authorization.group(2).split(";")));
            String expected = Aws4Signer.create().sign(unsigned, Aws4SignerParams.builder()
                    .awsCredentials(key)
                    .signingName(service)
                    .signingRegion(Region.of(signature.region))
                    .signingClockOverride(Clock.fixed(time, ZoneOffset.UTC))
                    .build()).firstMatchingHeader("Authorization").orElseThrow();
            return Optional.of(signature).filter(unused -> expected.equals(received.replaceAll(", ?", ", ")));
        } catch (DateTimeParseException e) {
            return Optional.empty();
        }
    }

    private static SdkHttpFullRequest unsigned(SandboxHttp.Request request, List<String> signedHeaders) {
        SdkHttpFullRequest.Builder unsigned = SdkHttpFullRequest.builder()
                .method(SdkHttpMethod.fromValue(request.method()))
                .uri(URI.create("http://" + request.headers().get("host") + request.path()))
                .contentStreamProvider(() -> new ByteArrayInputStream(request.body().getBytes(StandardCharsets.UTF_8)));
        request.query().forEach(unsigned::putRawQueryParameter);
        request.headers().forEach((name, value) -> {
            if (signedHeaders.contains(name) || name.startsWith("x-amz-")) {
                unsigned.putHeader(name, value);
            }
        });
        return unsigned.build();
    }
}
