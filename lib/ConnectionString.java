import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What Neon answers when it is asked for a connection string, believed only where it is the one that was asked for: a proxy that keeps
 * answers, or a mistake, could put production's into a preview.
 */
final class ConnectionString {

    private static final Pattern FORM = Pattern.compile("postgres(?:ql)?://([^:@/]*):(.+)@([^@/?]+)/([^?]*)(?:\\?.*)?", Pattern.DOTALL);

    private ConnectionString() {
    }

    /** Returns why this cannot be the string of this compute, role and database, in words that show nothing of it; nothing if it can. */
    static Optional<String> objection(String uri, NeonApi.Compute compute, Login login, boolean pooled) {
        Matcher parts = FORM.matcher(uri);
        if (!parts.matches()) {
            return Optional.of("holds none");
        }
        // Neon's rule for the host of the pooler.
        String host = pooled ? compute.host().replace(compute.id(), compute.id() + "-pooler") : compute.host();
        return !parts.group(3).replaceFirst(":\\d+$", "").equals(host)
                ? Optional.of("leads to another host than the branch's own compute " + compute.id() + (pooled ? ", pooled" : ""))
                : !decode(parts.group(1)).equals(login.role()) ? Optional.of("is for another role than '" + login.role() + "'")
                : !decode(parts.group(4)).equals(login.database()) ? Optional.of("is for another database than '" + login.database() + "'")
                : Optional.empty();
    }

    /** Percent-encodes what is not plain in a URI or is special in a shell or an env file; what is encoded already stays. */
    static String percentEncode(String uri) {
        StringBuilder encoded = new StringBuilder();
        for (byte b : uri.getBytes(StandardCharsets.UTF_8)) {
            boolean isPlain = b > ' ' && b < 0x7f && "\"'$`\\<>^{|}".indexOf(b) < 0;
            encoded.append(isPlain ? String.valueOf((char) b) : String.format("%%%02X", b));
        }
        return encoded.toString();
    }

    private static String decode(String part) {
        try {
            return URLDecoder.decode(part.replace("+", "%2B"), StandardCharsets.UTF_8);
        } catch (IllegalArgumentException e) {
            return part;
        }
    }
}
