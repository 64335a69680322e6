/* SPDX-License-Identifier: MIT
 *
 * What lib/ and the routes say of errors, in Chinese and Japanese. English is the text
 * that err_set() is called with, its conversions written {}; the others name them {1},
 * {2}. What is looked up is the finished text, so the first row that fits is taken: the
 * particular stands before the general. A test holds this against the sources.
 */
#ifndef ADMIN_ERRTEXT_TABLE_H
#define ADMIN_ERRTEXT_TABLE_H

/* clang-format off */
/*	English, Chinese, Japanese */
#define ERRTEXT_TABLE(X) \
	/* the table of lib/err.h */ \
	X("the request is malformed", \
	  "请求格式不正确", \
	  "リクエストの形式が正しくありません") \
	X("the body is not valid JSON", \
	  "请求体不是有效的 JSON", \
	  "本文が有効な JSON ではありません") \
	X("a value is not acceptable", \
	  "有一个值不可接受", \
	  "受け付けられない値があります") \
	X("the key is missing or not accepted", \
	  "密钥缺失或不被接受", \
	  "キーがないか、受け付けられません") \
	X("this is not allowed", \
	  "不允许此操作", \
	  "この操作は許可されていません") \
	X("there is no such thing here", \
	  "此处没有该内容", \
	  "ここにはそのようなものはありません") \
	X("this method is not served here", \
	  "此处不支持该方法", \
	  "このメソッドはここでは使えません") \
	X("it exists already", \
	  "已存在", \
	  "すでに存在します") \
	X("a task is already running", \
	  "已有任务在运行", \
	  "タスクがすでに実行中です") \
	X("the body is too large", \
	  "请求体过大", \
	  "本文が大きすぎます") \
	X("the request target is too long", \
	  "请求目标过长", \
	  "リクエストターゲットが長すぎます") \
	X("too many tries, wait a while", \
	  "尝试次数过多，请稍候", \
	  "試行回数が多すぎます。しばらくお待ちください") \
	X("every key of the group is rate limited", \
	  "分组的所有密钥都受到速率限制", \
	  "グループのすべてのキーがレート制限中です") \
	X("the request headers are too large", \
	  "请求头过大", \
	  "リクエストヘッダーが大きすぎます") \
	X("the client went away", \
	  "客户端已断开", \
	  "クライアントが切断しました") \
	X("something went wrong in the gateway", \
	  "网关内部出错", \
	  "ゲートウェイ内部で問題が発生しました") \
	X("the database refused the operation", \
	  "数据库拒绝了该操作", \
	  "データベースが操作を拒否しました") \
	X("connections cannot be upgraded (WebSocket): FastCGI cannot carry them", \
	  "无法升级连接（WebSocket）：FastCGI 不支持", \
	  "接続をアップグレードできません（WebSocket）。FastCGI では扱えません") \
	X("the upstream could not be reached", \
	  "无法连接上游", \
	  "上流に接続できませんでした") \
	X("the database's file is gone (\"gpt-load prepare\" makes a new one)", \
	  "数据库文件已不存在（“gpt-load prepare”会新建一个）", \
	  "データベースファイルがなくなっています（「gpt-load prepare」で新しく作れます）") \
	X("the database cannot be reached", \
	  "无法连接数据库", \
	  "データベースに接続できません") \
	X("the key pool cannot be reached", \
	  "无法连接密钥池", \
	  "キープールに接続できません") \
	X("the key pool is full: raise POOL_SIZE_MB", \
	  "密钥池已满：请增大 POOL_SIZE_MB", \
	  "キープールが満杯です。POOL_SIZE_MB を大きくしてください") \
	X("the group has no active key", \
	  "该分组没有可用的密钥", \
	  "グループに有効なキーがありません") \
	X("too many requests are under way on this node", \
	  "此节点上正在处理的请求过多", \
	  "このノードで処理中のリクエストが多すぎます") \
	X("the upstreams of the group rest", \
	  "该分组的上游正在休息", \
	  "グループの上流は休止中です") \
	X("the upstream did not answer in time", \
	  "上游未及时响应", \
	  "上流が時間内に応答しませんでした") \
	X("the disk is full", \
	  "磁盘已满", \
	  "ディスクが満杯です") \
	X("a stored key cannot be decrypted", \
	  "已存储的密钥无法解密", \
	  "保存済みのキーを復号できません") \
	X("the configuration cannot be used", \
	  "配置无法使用", \
	  "設定を使用できません") \
	X("a file or socket could not be used", \
	  "文件或套接字无法使用", \
	  "ファイルまたはソケットを使用できません") \
	/* requests */ \
	X("too many wrong keys from this address: try again in {} s", \
	  "此地址的错误密钥过多：请在 {1} 秒后重试", \
	  "このアドレスからの誤ったキーが多すぎます。{1} 秒後に再試行してください") \
	X("there is no such path in the API", \
	  "API 中没有该路径", \
	  "API にそのパスはありません") \
	X("an id in the path is not a number", \
	  "路径中的 ID 不是数字", \
	  "パス内の ID が数値ではありません") \
	X("the body is larger than {} MiB", \
	  "请求体超过 {1} MiB", \
	  "本文が {1} MiB を超えています") \
	X("the body broke off", \
	  "请求体中断", \
	  "本文が途中で切れました") \
	X("the answer would be too large: ask for a smaller page", \
	  "响应过大：请减小每页数量", \
	  "応答が大きくなりすぎます。ページを小さくしてください") \
	X("the request target holds a space or control character", \
	  "请求目标含有空格或控制字符", \
	  "リクエストターゲットに空白または制御文字が含まれています") \
	X("the request target holds a malformed percent-encoding", \
	  "请求目标含有错误的百分号编码", \
	  "リクエストターゲットのパーセントエンコーディングが不正です") \
	X("the request target holds an encoded NUL", \
	  "请求目标含有编码的 NUL", \
	  "リクエストターゲットに NUL が含まれています") \
	X("the request target is longer than {} bytes", \
	  "请求目标超过 {1} 字节", \
	  "リクエストターゲットが {1} バイトを超えています") \
	X("the request target is not a path", \
	  "请求目标不是路径", \
	  "リクエストターゲットがパスではありません") \
	X("the request path holds a dot segment", \
	  "请求路径含有点段", \
	  "リクエストパスにドットセグメントが含まれています") \
	X("a JSON body is required", \
	  "需要 JSON 请求体", \
	  "JSON の本文が必要です") \
	X("the body must be a JSON object", \
	  "请求体必须是 JSON 对象", \
	  "本文は JSON オブジェクトでなければなりません") \
	X("the body is not a valid JSON object", \
	  "请求体不是有效的 JSON 对象", \
	  "本文が有効な JSON オブジェクトではありません") \
	X("not valid JSON: {} at byte {}", \
	  "JSON 无效：第 {2} 字节处 {1}", \
	  "JSON が不正です：{2} バイト目で {1}") \
	X("the JSON text is too large", \
	  "JSON 文本过大", \
	  "JSON テキストが大きすぎます") \
	X("the query parameter \"key\" is required", \
	  "需要查询参数 \"key\"", \
	  "クエリパラメーター \"key\" が必要です") \
	X("the key opens no group", \
	  "该密钥不能访问任何分组", \
	  "このキーで使えるグループはありません") \
	/* groups */ \
	X("there is no group {}", \
	  "没有分组 {1}", \
	  "グループ {1} はありません") \
	X("a group of this \"name\" exists already", \
	  "同名 (\"name\") 的分组已存在", \
	  "この \"name\" のグループはすでに存在します") \
	X("there are {} groups already", \
	  "已有 {1} 个分组", \
	  "グループがすでに {1} 個あります") \
	X("\"channel_type\" and \"validation_endpoint\" cannot change while the group is a member of {} aggregate groups", \
	  "该分组属于 {1} 个聚合分组，无法更改 \"channel_type\" 和 \"validation_endpoint\"", \
	  "グループが {1} 個の集約グループに属している間は \"channel_type\" と \"validation_endpoint\" を変更できません") \
	X("each of \"items\" must have an \"id\" above 0 and a \"sort\" that is not below 0", \
	  "\"items\" 的每一项都必须有大于 0 的 \"id\" 和不小于 0 的 \"sort\"", \
	  "\"items\" の各項目には 0 より大きい \"id\" と 0 以上の \"sort\" が必要です") \
	X("each of \"items\" must have the numbers \"id\" and \"sort\"", \
	  "\"items\" 的每一项都必须有数字 \"id\" 和 \"sort\"", \
	  "\"items\" の各項目には数値の \"id\" と \"sort\" が必要です") \
	X("\"items\" names group {} twice", \
	  "\"items\" 中分组 {1} 出现了两次", \
	  "\"items\" にグループ {1} が二度あります") \
	X("there are {} copies of this group already", \
	  "该分组已有 {1} 个副本", \
	  "このグループのコピーがすでに {1} 個あります") \
	X("\"copy_keys\" must be \"all\", \"valid_only\" or \"none\"", \
	  "\"copy_keys\" 必须是 \"all\"、\"valid_only\" 或 \"none\"", \
	  "\"copy_keys\" は \"all\"、\"valid_only\"、\"none\" のいずれかでなければなりません") \
	X("\"sort\" is out of range", \
	  "\"sort\" 超出范围", \
	  "\"sort\" が範囲外です") \
	X("\"name\" must be 1 to {} lower-case letters, digits, '-' or '_'", \
	  "\"name\" 必须由 1 到 {1} 个小写字母、数字、'-' 或 '_' 组成", \
	  "\"name\" は小文字、数字、'-'、'_' を 1 から {1} 文字でなければなりません") \
	X("\"channel_type\" is not one of GET /api/channel-types", \
	  "\"channel_type\" 不在 GET /api/channel-types 之列", \
	  "\"channel_type\" は GET /api/channel-types にありません") \
	X("\"group_type\" must be \"standard\" or \"aggregate\"", \
	  "\"group_type\" 必须是 \"standard\" 或 \"aggregate\"", \
	  "\"group_type\" は \"standard\" または \"aggregate\" でなければなりません") \
	X("\"{}\" is required", \
	  "\"{1}\" 为必填项", \
	  "\"{1}\" は必須です") \
	X("\"validation_endpoint\" must be empty or a path that begins with '/', of at most {} characters, without spaces, '#' and \"://\"", \
	  "\"validation_endpoint\" 必须为空，或是以 '/' 开头、最多 {1} 个字符、不含空格、'#' 和 \"://\" 的路径", \
	  "\"validation_endpoint\" は空か、'/' で始まり空白・'#'・\"://\" を含まない {1} 文字以内のパスでなければなりません") \
	X("the URL is longer than {} bytes", \
	  "URL 超过 {1} 字节", \
	  "URL が {1} バイトを超えています") \
	X("the URL must be http://host[:port]/path, without spaces and control characters", \
	  "URL 必须是 http://host[:port]/path 形式，不含空格和控制字符", \
	  "URL は http://host[:port]/path の形式で、空白と制御文字を含んではいけません") \
	X("the URL must begin with http:// or https://", \
	  "URL 必须以 http:// 或 https:// 开头", \
	  "URL は http:// または https:// で始まらなければなりません") \
	X("the URL must not have a fragment ('#')", \
	  "URL 不能含有片段（'#'）", \
	  "URL にフラグメント（'#'）を含めてはいけません") \
	X("the URL holds a malformed percent-encoding", \
	  "URL 含有错误的百分号编码", \
	  "URL のパーセントエンコーディングが不正です") \
	X("\"upstreams\" entry {} must be an object with a string \"url\"", \
	  "\"upstreams\" 第 {1} 项必须是含有字符串 \"url\" 的对象", \
	  "\"upstreams\" の {1} 番目は文字列 \"url\" を持つオブジェクトでなければなりません") \
	X("\"weight\" of \"upstreams\" entry {} must be a whole number", \
	  "\"upstreams\" 第 {1} 项的 \"weight\" 必须是整数", \
	  "\"upstreams\" の {1} 番目の \"weight\" は整数でなければなりません") \
	X("\"weight\" of \"upstreams\" entry {} must be 0 to {}", \
	  "\"upstreams\" 第 {1} 项的 \"weight\" 必须在 0 到 {2} 之间", \
	  "\"upstreams\" の {1} 番目の \"weight\" は 0 から {2} でなければなりません") \
	X("\"upstreams\" entry {}: {}", \
	  "\"upstreams\" 第 {1} 项：{2}", \
	  "\"upstreams\" の {1} 番目：{2}") \
	X("at least one of \"upstreams\" must have a weight above 0", \
	  "\"upstreams\" 中至少一项的权重必须大于 0", \
	  "\"upstreams\" の少なくとも一つは重みが 0 より大きくなければなりません") \
	X("\"{}\" of \"{}\" is not a setting that a group can have there", \
	  "\"{2}\" 中的 \"{1}\" 不是分组可以在此设置的项", \
	  "\"{2}\" の \"{1}\" はグループがそこに持てる設定ではありません") \
	X("\"header_rules\" entry {} must be an object of strings", \
	  "\"header_rules\" 第 {1} 项必须是由字符串组成的对象", \
	  "\"header_rules\" の {1} 番目は文字列からなるオブジェクトでなければなりません") \
	X("\"key\" of \"header_rules\" entry {} is not a header name", \
	  "\"header_rules\" 第 {1} 项的 \"key\" 不是请求头名称", \
	  "\"header_rules\" の {1} 番目の \"key\" はヘッダー名ではありません") \
	X("\"value\" of \"header_rules\" entry {} is longer than {} bytes or holds a control character", \
	  "\"header_rules\" 第 {1} 项的 \"value\" 超过 {2} 字节或含有控制字符", \
	  "\"header_rules\" の {1} 番目の \"value\" が {2} バイトを超えるか、制御文字を含んでいます") \
	X("\"action\" of \"header_rules\" entry {} must be \"set\" or \"remove\"", \
	  "\"header_rules\" 第 {1} 项的 \"action\" 必须是 \"set\" 或 \"remove\"", \
	  "\"header_rules\" の {1} 番目の \"action\" は \"set\" または \"remove\" でなければなりません") \
	X("\"header_rules\" names {} twice", \
	  "\"header_rules\" 中 {1} 出现了两次", \
	  "\"header_rules\" に {1} が二度あります") \
	X("\"model_redirect_rules\" must map strings to strings", \
	  "\"model_redirect_rules\" 必须将字符串映射到字符串", \
	  "\"model_redirect_rules\" は文字列から文字列への対応でなければなりません") \
	X("\"model_redirect_rules\" holds an empty model name", \
	  "\"model_redirect_rules\" 含有空的模型名", \
	  "\"model_redirect_rules\" に空のモデル名があります") \
	X("\"model_redirect_rules\" must be empty in an aggregate group", \
	  "聚合分组的 \"model_redirect_rules\" 必须为空", \
	  "集約グループの \"model_redirect_rules\" は空でなければなりません") \
	X("\"param_overrides\" has more than {} members", \
	  "\"param_overrides\" 的成员超过 {1} 个", \
	  "\"param_overrides\" のメンバーが {1} 個を超えています") \
	X("\"param_overrides\" holds text that is no valid Unicode or NUL", \
	  "\"param_overrides\" 含有 NUL 或不是有效 Unicode 的文本", \
	  "\"param_overrides\" に NUL または有効な Unicode でない文字があります") \
	X("\"param_overrides\" stands there twice", \
	  "\"param_overrides\" 出现了两次", \
	  "\"param_overrides\" が二度あります") \
	X("\"{}\" has more than {} entries", \
	  "\"{1}\" 的条目超过 {2} 个", \
	  "\"{1}\" の項目が {2} 個を超えています") \
	X("group {}: header rule {}: not a header name", \
	  "分组 {1}：第 {2} 条请求头规则：不是请求头名称", \
	  "グループ {1}：ヘッダールール {2}：ヘッダー名ではありません") \
	X("group {}: header rule for {}: the value holds a control character", \
	  "分组 {1}：{2} 的请求头规则：值含有控制字符", \
	  "グループ {1}：{2} のヘッダールール：値に制御文字が含まれています") \
	/* aggregates */ \
	X("the group is not an aggregate", \
	  "该分组不是聚合分组", \
	  "グループは集約グループではありません") \
	X("group {} is an aggregate and cannot be a member", \
	  "分组 {1} 是聚合分组，不能作为子分组", \
	  "グループ {1} は集約グループなので、サブグループにできません") \
	X("group {} has channel {}, the aggregate has {}", \
	  "分组 {1} 的渠道是 {2}，而聚合分组是 {3}", \
	  "グループ {1} のチャネルは {2} ですが、集約グループは {3} です") \
	X("group {} has another validation endpoint than the other members", \
	  "分组 {1} 的验证端点与其他子分组不同", \
	  "グループ {1} の検証エンドポイントが他のサブグループと異なります") \
	X("group {} is a member already", \
	  "分组 {1} 已是子分组", \
	  "グループ {1} はすでにサブグループです") \
	X("an aggregate can have 1 to {} members", \
	  "聚合分组可有 1 到 {1} 个子分组", \
	  "集約グループのサブグループは 1 から {1} 個です") \
	X("group {} is named twice", \
	  "分组 {1} 出现了两次", \
	  "グループ {1} が二度あります") \
	X("group {} is not a member of this group", \
	  "分组 {1} 不是此分组的子分组", \
	  "グループ {1} はこのグループのサブグループではありません") \
	X("\"group_id\" of each of \"sub_groups\" must be a number above 0", \
	  "\"sub_groups\" 每一项的 \"group_id\" 必须是大于 0 的数字", \
	  "\"sub_groups\" の各項目の \"group_id\" は 0 より大きい数値でなければなりません") \
	X("\"weight\" of each of \"sub_groups\" must be a whole number", \
	  "\"sub_groups\" 每一项的 \"weight\" 必须是整数", \
	  "\"sub_groups\" の各項目の \"weight\" は整数でなければなりません") \
	/* keys */ \
	X("there is no key {}", \
	  "没有密钥 {1}", \
	  "キー {1} はありません") \
	X("the key {} cannot be decrypted", \
	  "密钥 {1} 无法解密", \
	  "キー {1} を復号できません") \
	X("the keys of this group cannot be decrypted", \
	  "此分组的密钥无法解密", \
	  "このグループのキーを復号できません") \
	X("the keys in the database were stored with another ENCRYPTION_KEY", \
	  "数据库中的密钥是用另一个 ENCRYPTION_KEY 存储的", \
	  "データベースのキーは別の ENCRYPTION_KEY で保存されています") \
	X("an aggregate group has no keys of its own", \
	  "聚合分组没有自己的密钥", \
	  "集約グループは自身のキーを持ちません") \
	X("an aggregate group has no keys of its own: add them to its members", \
	  "聚合分组没有自己的密钥：请添加到其子分组", \
	  "集約グループは自身のキーを持ちません。サブグループに追加してください") \
	X("key {} is longer than {} bytes", \
	  "第 {1} 个密钥超过 {2} 字节", \
	  "{1} 番目のキーが {2} バイトを超えています") \
	X("key {} holds a space or a control character", \
	  "第 {1} 个密钥含有空格或控制字符", \
	  "{1} 番目のキーに空白または制御文字が含まれています") \
	X("entry {} of the JSON array in \"keys_text\" is not a string", \
	  "\"keys_text\" 的 JSON 数组第 {1} 项不是字符串", \
	  "\"keys_text\" の JSON 配列の {1} 番目が文字列ではありません") \
	X("more than {} keys in one call", \
	  "一次调用的密钥超过 {1} 个", \
	  "一度の呼び出しのキーが {1} 個を超えています") \
	X("\"keys_text\" begins like a JSON array but is not a valid one", \
	  "\"keys_text\" 以 JSON 数组开头，但不是有效的数组", \
	  "\"keys_text\" は JSON 配列のように始まりますが、有効な配列ではありません") \
	X("\"keys_text\" holds no key", \
	  "\"keys_text\" 中没有密钥", \
	  "\"keys_text\" にキーがありません") \
	X("\"keys_text\" holds no usable key", \
	  "\"keys_text\" 中没有可用的密钥", \
	  "\"keys_text\" に使えるキーがありません") \
	X("\"{}\" holds more than {} keys", \
	  "\"{1}\" 含有超过 {2} 个密钥", \
	  "\"{1}\" のキーが {2} 個を超えています") \
	X("a key in \"{}\" is too long or holds a space or a control character", \
	  "\"{1}\" 中有密钥过长，或含有空格或控制字符", \
	  "\"{1}\" に長すぎるキー、または空白か制御文字を含むキーがあります") \
	X("\"key_hash\" must be 64 hex digits", \
	  "\"key_hash\" 必须是 64 位十六进制数字", \
	  "\"key_hash\" は 64 桁の 16 進数でなければなりません") \
	X("\"key\" holds a space or a control character", \
	  "\"key\" 含有空格或控制字符", \
	  "\"key\" に空白または制御文字が含まれています") \
	X("each of \"ids\" must be a number above 0", \
	  "\"ids\" 的每一项必须是大于 0 的数字", \
	  "\"ids\" の各項目は 0 より大きい数値でなければなりません") \
	X("\"action\" must be \"enable\", \"disable\", \"restore\", \"delete\", \"notes\" or \"test\"", \
	  "\"action\" 必须是 \"enable\"、\"disable\"、\"restore\"、\"delete\"、\"notes\" 或 \"test\"", \
	  "\"action\" は \"enable\"、\"disable\"、\"restore\"、\"delete\"、\"notes\"、\"test\" のいずれかでなければなりません") \
	X("\"status\" must be \"active\" or \"disabled\"", \
	  "\"status\" 必须是 \"active\" 或 \"disabled\"", \
	  "\"status\" は \"active\" または \"disabled\" でなければなりません") \
	X("\"status\" must be \"active\" or \"invalid\"", \
	  "\"status\" 必须是 \"active\" 或 \"invalid\"", \
	  "\"status\" は \"active\" または \"invalid\" でなければなりません") \
	X("\"sort\" must be \"last_used\", \"added\", \"requests\" or \"failures\"", \
	  "\"sort\" 必须是 \"last_used\"、\"added\"、\"requests\" 或 \"failures\"", \
	  "\"sort\" は \"last_used\"、\"added\"、\"requests\"、\"failures\" のいずれかでなければなりません") \
	X("\"idle\" must be \"never\" or 1 to {} days", \
	  "\"idle\" 必须是 \"never\" 或 1 到 {1} 天", \
	  "\"idle\" は \"never\" または 1 から {1} 日でなければなりません") \
	X("\"order\" must be \"asc\" or \"desc\"", \
	  "\"order\" 必须是 \"asc\" 或 \"desc\"", \
	  "\"order\" は \"asc\" または \"desc\" でなければなりません") \
	X("\"status\" must be \"active\", \"invalid\" or \"disabled\"", \
	  "\"status\" 必须是 \"active\"、\"invalid\" 或 \"disabled\"", \
	  "\"status\" は \"active\"、\"invalid\"、\"disabled\" のいずれかでなければなりません") \
	X("\"status\" must be \"all\", \"active\", \"invalid\" or \"disabled\"", \
	  "\"status\" 必须是 \"all\"、\"active\"、\"invalid\" 或 \"disabled\"", \
	  "\"status\" は \"all\"、\"active\"、\"invalid\"、\"disabled\" のいずれかでなければなりません") \
	X("the file must be a .txt file", \
	  "文件必须是 .txt 文件", \
	  "ファイルは .txt でなければなりません") \
	X("the form cannot be read", \
	  "无法读取表单", \
	  "フォームを読み取れません") \
	X("the form must have the fields \"group_id\" and \"file\"", \
	  "表单必须有 \"group_id\" 和 \"file\" 字段", \
	  "フォームには \"group_id\" と \"file\" の項目が必要です") \
	X("the keys are stored, but the key pool is full: raise POOL_SIZE_MB and start again", \
	  "密钥已存储，但密钥池已满：请增大 POOL_SIZE_MB 并重新启动", \
	  "キーは保存されましたが、キープールが満杯です。POOL_SIZE_MB を大きくして再起動してください") \
	X("there is no configuration in the pool yet", \
	  "密钥池中尚无配置", \
	  "プールにまだ設定がありません") \
	X("the configuration in the pool is damaged, or of another version", \
	  "密钥池中的配置已损坏，或属于另一版本", \
	  "プールの設定が壊れているか、別のバージョンのものです") \
	X("the group has no upstream to try a key with", \
	  "该分组没有可用于测试密钥的上游", \
	  "グループにキーを試すための上流がありません") \
	/* tasks, logs, settings */ \
	X("a task of this group is waiting or running", \
	  "此分组有任务在等待或运行", \
	  "このグループのタスクが待機中または実行中です") \
	X("the group has no such keys to validate", \
	  "该分组没有此类待验证的密钥", \
	  "グループに検証すべきキーがありません") \
	X("there is no task {}", \
	  "没有任务 {1}", \
	  "タスク {1} はありません") \
	X("there is no such log row", \
	  "没有该日志", \
	  "そのログ行はありません") \
	X("\"{}\" is not a setting", \
	  "\"{1}\" 不是设置项", \
	  "\"{1}\" は設定項目ではありません") \
	X("failover_status_codes: \"{}\" is no status code (100 to 999) and no range of them", \
	  "failover_status_codes：\"{1}\" 不是状态码（100 到 999），也不是其范围", \
	  "failover_status_codes：\"{1}\" は状態コード（100 から 999）でもその範囲でもありません") \
	/* what a value must be; the particular before the general */ \
	X("\"{}\": {}", \
	  "\"{1}\"：{2}", \
	  "\"{1}\"：{2}") \
	X("\"{}\" must be a number above 0", \
	  "\"{1}\" 必须是大于 0 的数字", \
	  "\"{1}\" は 0 より大きい数値でなければなりません") \
	X("\"{}\" must be a string that is not empty", \
	  "\"{1}\" 必须是非空字符串", \
	  "\"{1}\" は空でない文字列でなければなりません") \
	X("\"{}\" must not hold control characters", \
	  "\"{1}\" 不能含有控制字符", \
	  "\"{1}\" に制御文字を含めてはいけません") \
	X("\"{}\" must have 1 to {} entries", \
	  "\"{1}\" 必须有 1 到 {2} 项", \
	  "\"{1}\" の項目は 1 から {2} 個でなければなりません") \
	X("\"{}\" must be 0 to {}", \
	  "\"{1}\" 必须在 0 到 {2} 之间", \
	  "\"{1}\" は 0 から {2} でなければなりません") \
	X("\"{}\" must be 1 to {}", \
	  "\"{1}\" 必须在 1 到 {2} 之间", \
	  "\"{1}\" は 1 から {2} でなければなりません") \
	X("\"{}\" must be {}", \
	  "\"{1}\" 必须是{2}", \
	  "\"{1}\" は{2}でなければなりません") \
	X("\"{}\" may have {} characters at most", \
	  "\"{1}\" 最多 {2} 个字符", \
	  "\"{1}\" は {2} 文字以内でなければなりません") \
	X("\"{}\" is longer than {} characters", \
	  "\"{1}\" 超过 {2} 个字符", \
	  "\"{1}\" が {2} 文字を超えています") \
	X("\"{}\" is longer than {} bytes", \
	  "\"{1}\" 超过 {2} 字节", \
	  "\"{1}\" が {2} バイトを超えています") \
	X("\"{}\" is larger than {} bytes", \
	  "\"{1}\" 大于 {2} 字节", \
	  "\"{1}\" が {2} バイトを超えています") \
	X("{}: must be {} to {}", \
	  "{1}：必须在 {2} 到 {3} 之间", \
	  "{1}：{2} から {3} でなければなりません") \
	X("{}: must be {}", \
	  "{1}：必须是{2}", \
	  "{1}：{2}でなければなりません") \
	X("{}: {}", \
	  "{1}：{2}", \
	  "{1}：{2}") \
	/* parts of the above */ \
	X("a number above 0", \
	  "大于 0 的数字", \
	  "0 より大きい数値") \
	X("a string", \
	  "字符串", \
	  "文字列") \
	X("a whole number", \
	  "整数", \
	  "整数") \
	X("true or false", \
	  "true 或 false", \
	  "true または false") \
	X("an array", \
	  "数组", \
	  "配列") \
	X("an object", \
	  "对象", \
	  "オブジェクト") \
	X("a time such as 2006-01-02T15:04:05Z", \
	  "时间，例如 2006-01-02T15:04:05Z", \
	  "2006-01-02T15:04:05Z のような時刻") \
	X("\"retry\" or \"final\"", \
	  " \"retry\" 或 \"final\"", \
	  " \"retry\" または \"final\" ") \
	X("a status such as 429", \
	  "状态码，例如 429", \
	  "429 のような状態コード") \
	X("a whole number is wanted", \
	  "需要整数", \
	  "整数が必要です") \
	X("true or false is wanted", \
	  "需要 true 或 false", \
	  "true または false が必要です") \
	X("at least one key is wanted", \
	  "至少需要一个密钥", \
	  "少なくとも一つのキーが必要です") \
	X("too many keys", \
	  "密钥过多", \
	  "キーが多すぎます") \
	X("a URL is wanted: http://… or https://…", \
	  "需要 URL：http://… 或 https://…", \
	  "URL が必要です：http://… または https://…") \
	X("a URL with a host is wanted: http://, https://, socks5:// or socks5h://", \
	  "需要带主机的 URL：http://、https://、socks5:// 或 socks5h://", \
	  "ホストを含む URL が必要です：http://、https://、socks5://、socks5h://") \
	X("the text is too long", \
	  "文本过长", \
	  "テキストが長すぎます") \
	X("the text is not valid UTF-8", \
	  "文本不是有效的 UTF-8", \
	  "テキストが有効な UTF-8 ではありません") \
	X("the value is of a wrong type", \
	  "值的类型不正确", \
	  "値の型が正しくありません")
/* clang-format on */

#endif
