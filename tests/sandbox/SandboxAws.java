import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import java.util.function.Consumer;

/**
 * The stand-in for two AWS services: Systems Manager's GetParameter and Amplify's ListBranches. Field names, shapes and error codes are
 * those of the services' models: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html and
 * https://docs.aws.amazon.com/amplify/latest/APIReference/API_ListBranches.html.
 */
final class SandboxAws {

    /** Where the app and the parameters are. One port answers for all regions, but the others are empty. */
    static final String REGION = "eu-central-1";
    static final String APP_ID = "d1a2b3c4d5e6f7";
    static final String ACCESS_KEY_ID = "AKIASANDBOXSANDBOX00";

    private static final String ACCOUNT = "123456789012";

    /** The most branches that ListBranches gives in a page, and how many it gives when not told. */
    private static final int PAGE = 50;

    private record Parameter(String type, String value) {
    }

    /** An Amplify branch; Amplify lists the last two with it, and they must never be seen in a log. */
    private record Branch(String name, String stage, String sourceBranch, String environmentSecret, String basicAuthCredentials) {
    }

    private final ObjectMapper json = new ObjectMapper();
    private final Random random = new Random();
    private final String secretAccessKey;
    private final Consumer<String> secrets;
    private final Map<String, Parameter> parameters = new LinkedHashMap<>();
    private final Map<String, Map<String, Branch>> apps = new LinkedHashMap<>();
    private int maximumPageSize = PAGE;
    private String denied = "";

    /**
     * Starts with one app that has no branch yet, and no parameter.
     *
     * @param secretAccessKey signs the requests that are let in
     * @param secrets is handed every secret that is made up here
     */
    SandboxAws(String secretAccessKey, Consumer<String> secrets) {
        this.secretAccessKey = secretAccessKey;
        this.secrets = secrets;
        apps.put(APP_ID, new LinkedHashMap<>());
    }

    /** Stores a parameter that SSM decrypts only for those who ask for it. */
    synchronized void secureString(String name, String value) {
        parameters.put(name, new Parameter("SecureString", value));
    }

    /** Stores a parameter in plain text. */
    synchronized void string(String name, String value) {
        parameters.put(name, new Parameter("String", value));
    }

    synchronized void removeParameter(String name) {
        parameters.remove(name);
    }

    /** Adds branches of the sandbox's app, as one does by connecting them. */
    synchronized void branches(String... names) {
        for (String name : names) {
            add(name, "main".equals(name) ? "PRODUCTION" : "DEVELOPMENT", null);
        }
    }

    /** Adds the preview of a pull request: a branch named {@code pr-N} that knows its source branch. */
    synchronized void pullRequest(int number, String sourceBranch) {
        add("pr-" + number, "PULL_REQUEST", sourceBranch);
    }

    /** Removes a branch of the sandbox's app, as one does by deleting it in the console. */
    synchronized void removeBranch(String name) {
        apps.get(APP_ID).remove(name);
    }

    /** Removes all branches of the sandbox's app. */
    synchronized void removeBranches() {
        apps.get(APP_ID).clear();
    }

    /** Gives at most this many branches in a page from now on, whatever is asked for. */
    synchronized void maximumPageSize(int size) {
        maximumPageSize = size;
    }

    /** Answers this action, such as {@code amplify:ListBranches}, as for a role whose policy does not allow it. */
    synchronized void deny(String action) {
        denied = action;
    }

    /** Answers a request to SSM: JSON 1.1, the action in a header. */
    synchronized SandboxHttp.Answer ssm(SandboxHttp.Request request) {
        String target = request.headers().getOrDefault("x-amz-target", "");
        Optional<String> region = region(request, "ssm");
        if (region.isEmpty()) {
            return notSigned(400);
        }
        if (!"AmazonSSM.GetParameter".equals(target)) {
            return error(400, "UnknownOperationException", "");
        }
        JsonNode input = read(request.body());
        String name = input.path("Name").asText();
        String arn = "arn:aws:ssm:" + REGION + ":" + ACCOUNT + ":parameter" + (name.startsWith("/") ? "" : "/") + name;
        if ("ssm:GetParameter".equals(denied)) {
            return notAuthorized(400, "ssm:GetParameter", arn);
        }
        Parameter parameter = parameters.get(name);
        if (parameter == null || !REGION.equals(region.get())) {
            return error(400, "ParameterNotFound", "");
        }
        boolean readable = !"SecureString".equals(parameter.type()) || input.path("WithDecryption").asBoolean();
        ObjectNode answer = json.createObjectNode();
        answer.putObject("Parameter")
                .put("ARN", arn)
                .put("DataType", "text")
                .put("LastModifiedDate", 1733184000.123)
                .put("Name", name)
                .put("Type", parameter.type())
                .put("Value", readable ? parameter.value() : ciphertext())
                .put("Version", 1);
        return amazon(200, answer);
    }

    /** Answers a request to Amplify: REST, {@code path} without what leads to the service. */
    synchronized SandboxHttp.Answer amplify(SandboxHttp.Request request, String path) {
        String[] parts = path.split("/");
        Optional<String> region = region(request, "amplify");
        if (region.isEmpty()) {
            return notSigned(403);
        }
        if (!"GET".equals(request.method()) || parts.length != 4 || !"apps".equals(parts[1]) || !"branches".equals(parts[3])) {
            return error(404, "NotFoundException", "Unknown operation " + request.method() + " " + path);
        }
        String appId = parts[2];
        String arn = "arn:aws:amplify:" + REGION + ":" + ACCOUNT + ":apps/" + appId;
        if ("amplify:ListBranches".equals(denied)) {
            return notAuthorized(403, "amplify:ListBranches", arn + "/branches/*");
        }
        Map<String, Branch> app = apps.get(appId);
        if (app == null || !REGION.equals(region.get())) {
            return error(404, "NotFoundException", "App with id: " + appId + " not found");
        }
        int asked = Integer.parseInt(request.query().getOrDefault("maxResults", "" + PAGE));
        if (asked < 0 || asked > PAGE) {
            return error(400, "BadRequestException", "1 validation error detected: Value '" + asked
                    + "' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to " + PAGE);
        }
        int size = Math.min(asked == 0 ? PAGE : asked, maximumPageSize);
        int from = pageStart(request.query().get("nextToken"));
        List<Branch> all = new ArrayList<>(app.values());
        int to = Math.min(from + size, all.size());

        ObjectNode answer = json.createObjectNode();
        var branches = answer.putArray("branches");
        all.subList(Math.min(from, to), to).forEach(branch -> branches.add(branch(arn, branch)));
        if (to < all.size()) {
            answer.put("nextToken", pageToken(to));
        }
        return amazon(200, answer);
    }

    private void add(String name, String stage, String sourceBranch) {
        String credentials = base64("preview:" + secret("pw"));
        secrets.accept(credentials);
        apps.get(APP_ID).put(name, new Branch(name, stage, sourceBranch, secret("sk_sandbox_"), credentials));
    }

    private ObjectNode branch(String appArn, Branch branch) {
        ObjectNode node = json.createObjectNode()
                .put("branchArn", appArn + "/branches/" + branch.name())
                .put("branchName", branch.name())
                .put("description", "")
                .put("stage", branch.stage())
                .put("displayName", branch.name().replaceAll("[^A-Za-z0-9-]", "-"))
                .put("enableNotification", false)
                .put("createTime", 1733184000.123)
                .put("updateTime", 1733187600.456);
        node.putObject("environmentVariables").put("STRIPE_SECRET_KEY", branch.environmentSecret());
        node.put("enableAutoBuild", true)
                .put("enableSkewProtection", false);
        node.putArray("customDomains");
        node.put("framework", "Next.js - SSR")
                .put("activeJobId", "0000000007")
                .put("totalNumberOfJobs", "7")
                .put("enableBasicAuth", true)
                .put("enablePerformanceMode", false)
                .put("basicAuthCredentials", branch.basicAuthCredentials())
                .put("ttl", "5")
                .put("enablePullRequestPreview", branch.sourceBranch() == null);
        node.putObject("tags");
        if (branch.sourceBranch() != null) {
            node.put("sourceBranch", branch.sourceBranch()).put("destinationBranch", "main");
        }
        return node;
    }

    private Optional<String> region(SandboxHttp.Request request, String service) {
        return SandboxSignature.region(request, ACCESS_KEY_ID, secretAccessKey, service);
    }

    private SandboxHttp.Answer notSigned(int status) {
        return error(status, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided."
                + " Check your AWS Secret Access Key and signing method.");
    }

    private SandboxHttp.Answer notAuthorized(int status, String action, String resource) {
        return error(status, "AccessDeniedException", "User: arn:aws:sts::" + ACCOUNT + ":assumed-role/AmplifyServiceRole/BuildSession"
                + " is not authorized to perform: " + action + " on resource: " + resource
                + " because no identity-based policy allows the " + action + " action");
    }

    private SandboxHttp.Answer error(int status, String code, String message) {
        ObjectNode error = json.createObjectNode().put("__type", code).put("message", message);
        SandboxHttp.Answer answer = amazon(status, error);
        Map<String, String> headers = new LinkedHashMap<>(answer.headers());
        headers.put("x-amzn-ErrorType", code);
        return new SandboxHttp.Answer(status, answer.body(), headers);
    }

    private SandboxHttp.Answer amazon(int status, ObjectNode body) {
        return new SandboxHttp.Answer(status, body.toString(),
                Map.of("Content-Type", "application/x-amz-json-1.1", "x-amzn-RequestId", UUID.randomUUID().toString()));
    }

    private JsonNode read(String body) {
        try {
            return json.readTree(body);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("the request is not JSON", e);
        }
    }

    private String ciphertext() {
        byte[] bytes = new byte[96];
        random.nextBytes(bytes);
        return "AQICAHh" + Base64.getEncoder().withoutPadding().encodeToString(bytes);
    }

    private String secret(String prefix) {
        String secret = prefix + Long.toHexString(random.nextLong()) + Long.toHexString(random.nextLong());
        secrets.accept(secret);
        return secret;
    }

    /** Makes a token as Amplify's are, with characters that mean something else in an address when they are not encoded. */
    private static String pageToken(int start) {
        return "+/=" + base64("page " + start);
    }

    private static int pageStart(String token) {
        if (token == null) {
            return 0;
        }
        String text = new String(Base64.getDecoder().decode(token.substring("+/=".length())), StandardCharsets.UTF_8);
        return Integer.parseInt(text.substring("page ".length()));
    }

    private static String base64(String text) {
        return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }
}
