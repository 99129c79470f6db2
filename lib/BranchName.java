/**
 * The name of an Amplify branch's Neon branch, {@code <app-id>-<amplify-branch>}. No other place knows this form.
 *
 * <p>An app id holds no hyphen, so the prefix {@code <app-id>-} of one app is never the beginning of another app's.
 */
final class BranchName {

    /** Neon takes names of 1 to 256 characters. */
    static final int LONGEST = 256;

    private BranchName() {
    }

    /** Returns the Neon branch name for an Amplify branch, which is kept as it is, slashes, spaces and all. */
    static String of(String appId, String amplifyBranch) {
        return prefix(appId) + amplifyBranch;
    }

    /** Tells whether a Neon branch of this name belongs to the app. Everything else in the project is someone else's. */
    static boolean isOf(String appId, String neonBranch) {
        return neonBranch.length() > prefix(appId).length() && neonBranch.startsWith(prefix(appId));
    }

    /** Returns the Amplify branch a Neon branch of this app was made for. */
    static String amplifyBranch(String appId, String neonBranch) {
        return neonBranch.substring(prefix(appId).length());
    }

    private static String prefix(String appId) {
        return appId + "-";
    }
}
