import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Optional;

/**
 * The name of an Amplify branch's Neon branch, {@code <app-id>-<amplify-branch>}. No other place knows this form.
 *
 * <p>An app id holds no hyphen, so the prefix {@code <app-id>-} of one app is never the beginning of another app's.
 */
final class BranchName {

    /** Neon takes names of 1 to 256 characters. Counting bytes of UTF-8 keeps within that however Neon counts. */
    static final int MAX_BYTES = 256;

    /** Hexadecimal digits of the hash that ends a shortened name. */
    private static final int HASH_LENGTH = 12;

    private BranchName() {
    }

    /**
     * Returns the Neon branch name for an Amplify branch, which is kept as it is, slashes, spaces and all. A name that Neon would find
     * too long is cut and ends in a hash of the whole, so that two long branches with the same beginning stay apart.
     */
    static String of(String appId, String amplifyBranch) {
        String name = whole(appId, amplifyBranch);
        if (bytes(name) <= MAX_BYTES) {
            return name;
        }
        String ending = "-" + hash(name);
        int room = MAX_BYTES - ending.length();
        StringBuilder beginning = new StringBuilder();
        for (int codePoint : name.codePoints().toArray()) {
            room -= bytes(Character.toString(codePoint));
            if (room < 0) {
                break;
            }
            beginning.appendCodePoint(codePoint);
        }
        return beginning + ending;
    }

    /** Returns the name likewise, however long it is. */
    static String whole(String appId, String amplifyBranch) {
        return prefix(appId) + amplifyBranch;
    }

    /** Tells whether a Neon branch of this name belongs to the app. Everything else in the project is someone else's. */
    static boolean isOf(String appId, String neonBranch) {
        return neonBranch.length() > prefix(appId).length() && neonBranch.startsWith(prefix(appId));
    }

    /** Returns the Amplify branch a Neon branch of this app was made for; of a shortened name, its shortened form. */
    static String amplifyBranch(String appId, String neonBranch) {
        return neonBranch.substring(prefix(appId).length());
    }

    /**
     * Returns how the name of the Amplify branch begins that a Neon branch of this app was made for, if that is all of it that can be
     * told: the Neon branch has, as far as one can see, a shortened name.
     */
    static Optional<String> beginning(String appId, String neonBranch) {
        int end = neonBranch.length() - HASH_LENGTH - 1;
        // A character of four bytes may have been too long by one.
        boolean isShortened = bytes(neonBranch) > MAX_BYTES - 4 && neonBranch.substring(end).matches("-[0-9a-f]+");
        return isShortened ? Optional.of(amplifyBranch(appId, neonBranch.substring(0, end))) : Optional.empty();
    }

    private static String prefix(String appId) {
        return appId + "-";
    }

    private static int bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8).length;
    }

    private static String hash(String text) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(digest).substring(0, HASH_LENGTH);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
