import java.text.Normalizer;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The one rule on which Neon branches of an app must not be lost. It holds for deleting them, for letting them expire and for resetting
 * them alike.
 */
final class Protection {

    /** Why a branch stays when its Amplify branch is there: the one reason that is not worth a line in a log. */
    static final String LIVE = "its Amplify branch exists";

    /** The Amplify branches whose Neon branches always stay, as neon-ci.sh had it. */
    private static final Set<String> ALWAYS_KEPT = Set.of("main", "dev");

    /** What Neon calls the branch that it leaves behind when one is restored, instantly or from a snapshot. */
    private static final Pattern BACKUP = Pattern.compile("(.+)(?:_old(?:_[0-9].*)?| \\(old\\))", Pattern.DOTALL);

    private final String appId;
    private final String productionBranch;
    private final Set<String> live;
    private final List<String> keep;

    /**
     * Puts the rule together.
     *
     * @param productionBranch the Amplify branch that uses the parent branch itself, or null
     * @param live the Amplify branches that exist, as far as they are known
     * @param keep globs over names of Amplify branches that stay; {@code *} stands for any text, {@code ?} for one character
     */
    Protection(String appId, String productionBranch, Set<String> live, List<String> keep) {
        this.appId = appId;
        this.productionBranch = productionBranch;
        this.live = live.stream().map(branch -> folded(BranchName.of(appId, branch))).collect(Collectors.toSet());
        this.keep = keep;
    }

    /** Returns why a branch of the app must not be lost, in words that follow its name and a colon; nothing if it may. */
    Optional<String> reason(NeonApi.Branch branch) {
        return live.contains(folded(branch.name())) ? Optional.of(LIVE)
                : branch.isDefault() ? Optional.of("it is the project's default branch")
                : branch.isProtected() ? Optional.of("it is protected")
                : reason(branch.name());
    }

    private Optional<String> reason(String neonBranch) {
        String amplifyBranch = BranchName.amplifyBranch(appId, neonBranch);
        if (live.contains(folded(neonBranch))) {
            return Optional.of(LIVE);
        }
        if (ALWAYS_KEPT.contains(folded(amplifyBranch))) {
            return Optional.of("'" + amplifyBranch + "' is always kept");
        }
        if (productionBranch != null && folded(neonBranch).equals(folded(BranchName.of(appId, productionBranch)))) {
            return Optional.of("'" + productionBranch + "' is the production branch");
        }
        return keep.stream().filter(glob -> fits(appId, glob, neonBranch)).findFirst().map(glob -> "--keep '" + glob + "'")
                .or(() -> Optional.of(BACKUP.matcher(neonBranch)).filter(Matcher::matches).map(backup -> backup.group(1))
                        .filter(restored -> BranchName.isOf(appId, restored) && reason(restored).isPresent())
                        .map(restored -> "it is Neon's backup of '" + restored + "'"));
    }

    /** Tells whether a glob fits the Amplify branch that a Neon branch of the app was made for. */
    static boolean fits(String appId, String glob, String neonBranch) {
        String amplifyBranch = BranchName.amplifyBranch(appId, neonBranch);
        return matches(glob, amplifyBranch) || matches(folded(glob), folded(amplifyBranch));
    }

    /**
     * Names that differ only in case, or in how Unicode writes a letter, are taken for the same: Git on a laptop may have changed either,
     * and one too many kept is better than one too few.
     */
    private static String folded(String name) {
        return Normalizer.normalize(name.toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT), Normalizer.Form.NFC);
    }

    /**
     * A glob reads every character but {@code *} and {@code ?} as itself, and {@code *} reaches across slashes: the safe side. What
     * stands between two stars is looked for where it first fits and nowhere else, since trying every place takes for ever.
     */
    private static boolean matches(String glob, String text) {
        String[] parts = glob.split("\\*+", -1);
        StringBuilder pattern = new StringBuilder(literal(parts[0]));
        for (int i = 1; i < parts.length; i++) {
            pattern.append(i < parts.length - 1 ? "(?>.*?" + literal(parts[i]) + ")" : ".*" + literal(parts[i]));
        }
        return Pattern.compile(pattern.toString(), Pattern.DOTALL).matcher(text).matches();
    }

    private static String literal(String part) {
        return part.codePoints().mapToObj(Character::toString).map(c -> c.equals("?") ? "." : Pattern.quote(c))
                .collect(Collectors.joining());
    }
}
