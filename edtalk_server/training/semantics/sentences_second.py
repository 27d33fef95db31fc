"""Own sentences of film dialogue by emotion: surprised, fear and disgusted (CC0)."""

from __future__ import annotations

SURPRISED = """
What? You're getting married?
No way! That can't be true!
Oh my God, is that really you?
I can't believe my eyes.
You did all this by yourself?
Wait, you two know each other?
Where on earth did that come from?
A million? Did you say a million?
I never expected to see you here!
Good heavens, how you have grown!
You mean it was you the whole time?
He's alive? But we buried him!
Well, I never! Who would have thought it?
Since when do you speak Japanese?
It just appeared, out of nowhere!
Are you kidding me?
I had no idea you could sing!
She did what?
That's impossible, I locked that door myself.
Wow, look at the size of that thing!
You're pregnant? When did you find out?
How did you get in here?
I thought you were in London!
My goodness, what happened to your hair?
You remembered? I'm amazed.
Twins! They told me it was one!
That's your mother? I thought she was your sister.
But I saw it just a second ago, and now it's vanished!
You quit? Just like that?
This was under the floor all this time?
Did you see that? It moved by itself!
I'm speechless, I truly am.
Six languages? Are you serious?
He sold it for how much?
I wasn't expecting anyone at this hour.
Hold on, that's my name on the list!
What are you doing here?
So the butler was a policeman all along?
You're telling me it was there the whole time?
Incredible! It's exactly the same.
I would never have guessed that.
She left him? After thirty years?
Look at that, it's snowing in June!
You're the new director? You?
How is that even possible?
I could have sworn there was a door here.
Oh! You startled me!
The painting is real? You're sure?
You've read all of these?
But that's my grandfather's watch! Where did you get it?
They cancelled it? Today?
Huh, I always thought it was blue.
He can talk? The parrot can talk?
Ten years old and she plays like that? Astonishing.
You have a brother? You never told me that!
Is this a joke? Tell me it's a joke.
What do you mean, there is no train?
I won? Me? Are you sure?
Goodness gracious, what a crowd!
That was you on the telephone?
You knew about this?
It can't be, that was forty years ago!
Hang on, did he just say my name?
He was standing right there and then, poof, gone!
Is that what it costs? For one night?
They gave it away for free? All of it?
You mean to say nobody noticed?
How did you know my name?
My word, that is extraordinary.
I didn't know you were coming!
You jumped from that height? And lived?
And all along he was living next door!
It's Tuesday? I thought it was Sunday!
So soon? The baby isn't due until May!
You cut your hair! I almost didn't recognise you.
Seriously? That's the same dress!
He's your son? You have a son?
The safe is empty, how can it be empty?
You're early, I didn't expect you before six!
Blimey, is it midnight already?
This can't be my daughter, she was this small when I left!
What is that doing in my kitchen?
Wait a minute, this isn't my suitcase.
Really? You, in a church?
I just don't understand, where did it go?
He gave you his car? His own car?
Holy cow, that was close!
It's her handwriting, but she has been dead for years!
You actually finished it?
Nobody told me it was today!
Well, that was unexpected.
I'm stunned, I don't know what to say.
They picked us? Out of all those people?
You're from here? So am I!
That isn't wine, it's water!
The whole village is gone, as if it had never been there!
You ate all of it? In one sitting?
She's eighty? She doesn't look a day over sixty!
Oh my, is this for me?
I've never seen anything like it.
The king himself? Coming here?
You can see it from space? Really?
You bought a what?
Look who's here! I thought you were abroad!
Did I hear that right?
It opened! I just touched it and it opened!
Gosh, I didn't see you there.
So you are the famous Mr. Finch? I imagined somebody older.
He walked? The doctors said that he would never walk!
It was you who sent the flowers?
All this time I thought you hated me!
They moved the wedding to tomorrow? Tomorrow?
Good Lord, what time did you get up?
You can't mean that, surely?
What, already?
He didn't! And then what happened?
There's another room behind it!
Suddenly there he was, right in front of me!
You speak with the dead? Come on!
You want me? In the film?
Heavens, I forgot you were in the room.
Since when have we got a cat?
That's my ring! I lost it ten years ago!
Who are all these people in our house?
I always thought that was just a story!
You got married last night? To whom?
I didn't think you had it in you!
Whoa, slow down, you found what?
How strange, the clock has stopped.
I'm sorry, you want how many?
He's how old?
Wait, go back, what did you say?
It's gold? Real gold?
You're my father?
Unbelievable, he did it in under two minutes!
I looked up, and there was the moon, as big as a house!
So it was true after all!
But you said you couldn't swim!
You live here? In a lighthouse?
Imagine that, both of us born on the same day!
They're identical, I can't tell them apart!
You came all the way from Australia?
Oh! I thought I was alone.
It wasn't locked at all!
I would have bet my life it was him!
They let you keep it?
My jaw dropped when I saw the price.
Did you honestly do that with one hand?
I opened the box, and it was empty!
You've never seen the sea? Never?
It turns out we're cousins, can you believe it?
I find that quite remarkable.
You wrote this? It's really yours?
How odd, I was just thinking of you!
He left you the castle?
"""

FEAR = """
Did you hear that? There's somebody downstairs.
Don't go in there, please, don't go in there.
I think someone is following us.
Run! Run, don't look back!
Please, please don't hurt me.
Something's wrong, I can feel it.
Turn off the light, they will see us.
I can't breathe, get me out of here!
He has a gun.
What if they find us?
Oh God, it's coming closer.
Hide, quick, under the bed!
I'm scared, Mummy, there's something in the closet.
Don't make a sound, it can hear us.
We are going to die down here.
The brakes aren't working!
Help! Somebody, help me!
It's so dark, where are you? Answer me!
He said he would come back and kill us all.
I can't look down, I'm going to fall.
Please tell me you locked the door.
There's blood on the floor.
They're coming, they are right behind us!
I keep having the same nightmare.
Stay close to me, and don't let go of my hand.
Who's there? Who is it?
I don't want to die.
My hands won't stop shaking.
The ice is cracking, don't move.
I saw a face at the window.
We shouldn't be here, let's go back.
What was that noise?
Call the police, hurry!
It's in the house, it's in the house with us.
I'm terrified of what the doctor will say.
Look out, it's falling!
I'm afraid of the dark, leave the door open.
He's not breathing! Do something!
There's no way out, we're trapped.
Somebody's been in my room.
Don't leave me here alone, please!
The water is rising, we have to get out!
If he finds out what we did, he'll kill us.
I can hear it breathing.
I have a terrible feeling about this place.
My baby, where's my baby?
The rope is tearing, hold on!
Don't open it! Whatever you do, don't open it!
They took her, and I'm next.
I can't swim, I can't swim!
Be careful, one wrong step and we're finished.
It's watching us, from the trees.
I'm too frightened to sleep.
Please let him be all right, please.
Oh no, oh no, they have found us.
There was a man standing over my bed.
What are they going to do to us?
I don't like this, it's too quiet.
The fire is spreading, we have to jump!
Take whatever you want, just don't shoot.
My heart is pounding so hard that I can't think.
He's still out there, I know he is.
Not so fast, you'll get us killed!
The lights went out, and then I heard footsteps.
I have to hide, he'll be here any minute.
You don't know what he is capable of.
Get back! It could explode at any moment!
I won't go down there, nothing you say will make me.
There's something in the water!
They'll send me back, and then they'll shoot me.
Did you lock the car? There's a man by the fence.
I'm worried sick, he should have been home hours ago.
I feel like I'm being watched.
The plane is shaking, is that normal? Tell me that's normal!
Oh please, not the needle, I can't stand needles.
What if the test is positive?
Keep your voice down, they might hear us.
Don't shoot! I've got children!
Every night I hear it scratching at the wall.
The bridge won't hold, it won't hold!
I saw it, I swear, and it had no eyes.
My phone is dead, and I don't know where we are.
Somebody cut the wires.
It's a bomb! Everybody out!
He'll hurt me if I go home.
I can feel something crawling towards me in the dark.
Don't turn around, just keep walking.
I'm so nervous I think I'm going to faint.
What's in the basement? What have you got down there?
There's someone on the roof.
Please hurry, he's trying to break down the door!
The storm is getting worse, we'll never make it.
Let me go, please, I won't tell anyone!
I've never been so frightened in my life.
Nobody knows that we're here, nobody will come.
That dog is going to attack, don't move a muscle.
I had the feeling that the house was listening.
They'll never let us leave alive.
I woke up and I couldn't move, and something was in the room.
Do you think it's gone? Is it safe?
Slow down, I'm begging you!
What if I forget everything in front of all those people?
I think it bit me, oh God, is it poisonous?
The door was locked from the outside.
He knows where I live.
The elevator's stuck, and I can't stand small spaces.
Watch out, there's a car coming!
I'm afraid something has happened to her.
Don't say that, don't even think it!
We have to leave, now, before it gets dark.
I can't do it, I'm too scared.
They say that nobody who went in ever came out.
It sounded like a scream.
I'm begging you, don't make me go back there.
Stay behind me, it may be dangerous.
Where are the children? They were right here!
The engine stopped, why did the engine stop?
I dread the day they come for us.
There's a shadow under the door.
Quick, get inside, they're shooting!
I'm not brave, I'm shaking all over.
If we stay here, we'll freeze to death.
He raised the knife, and I couldn't even scream.
It's the same car, it has been behind us since the bridge.
Mother, what's happening? Why is everybody running?
Oh God, I've lost my grip, I'm slipping!
They're going to arrest us, I know it.
There's something alive in there.
I'm anxious about tomorrow, I can't stop worrying.
What if nobody believes me?
You're scaring me, stop it, please.
I don't dare to go outside anymore.
Wake up, please wake up, I smell smoke!
He's going to jump! Somebody stop him!
The radio is dead, we're on our own.
I can't see anything, where's the torch?
There are wolves out there, I heard them.
Is it deep? I can't feel the bottom!
Don't leave me with him, he frightens me.
They'll hang me for this.
I'm losing control, I can't steer!
It's getting closer, I can hear the branches break.
I don't want to go to the hospital, what if I never come out?
Nobody move, there's a snake.
My God, the whole cliff is moving!
Did you see his eyes? He isn't human.
It's too high, I can't, I can't!
I'm worried about the operation.
I have a bad feeling, let's turn around.
Shh, he's right outside.
I'm uneasy about leaving the children with him.
Who turned off the lights? This isn't funny.
They've got dogs, they'll smell us.
Get away from the window!
I heard a shot, I think they shot him.
What have we done? They'll come for us now.
"""

DISGUSTED = """
Ugh, what is that smell?
That's revolting, take it away.
There's a hair in my soup.
I'm not eating that, it's still moving.
You make me sick to my stomach.
The milk has gone sour, it's disgusting.
Eww, don't touch it!
This place is filthy, I don't want to sit down.
I think I'm going to throw up.
How can you eat that?
It's covered in mould.
Wash your hands before you come near me.
The toilet hasn't been cleaned in months.
Look at the slime, it's dripping off the wall.
His breath stinks of rotten fish.
That's the most disgusting thing I've ever seen.
There are maggots in the meat.
Get that thing away from me, it's gross.
The way he looks at young girls turns my stomach.
Yuck, it tastes like old socks.
I stepped in something, and it's still warm.
Don't you ever wash? You reek.
The fridge smells as if something died in there.
It's vile, I can't even look at it.
Somebody spat in the glass.
You want me to swallow that?
The sheets are stained, I won't sleep here.
He picks his nose and then he shakes your hand.
There's a cockroach on the plate!
I can still taste it, horrible.
That is not food, that is garbage.
What a nasty, greasy little place.
They keep rats in the kitchen, I saw them.
Pfui, the whole cellar reeks of sewage.
I feel dirty just talking to him.
It's sticky, why is it sticky?
That joke was tasteless and cruel, it made me ill.
Put a lid on it, the stench is unbearable.
You wiped your nose on my sleeve!
The dog was sick all over the carpet, ugh.
I can't watch this, it's repulsive.
Your feet smell like cheese.
He chews with his mouth open, it's awful.
What they do to those animals is sickening.
I found a toenail in the sandwich.
That water is brown, I'm not drinking it.
The whole business is dirty, and I want no part of it.
It oozes when you press it, look.
Don't kiss me, you stink of beer.
There is vomit on the stairs.
I'd rather starve than eat that.
His hands are always wet, it makes me shudder.
It looks like something the cat coughed up.
The bathroom floor is crawling with insects.
Oh, that's foul! Open a window!
You have been wearing those socks for a week?
The things he wrote about her were obscene.
This meat is green.
I can smell him from here.
How can people live in such filth?
It made me gag.
The old man was drooling into his soup.
Somebody used my towel, it's all hairy.
That wound is infected, I can't look at all that pus.
Yuk, it's slimy!
I won't put that in my mouth.
His teeth are brown, and he spits when he talks.
They serve the eyes as well, boiled.
Flies everywhere, and the smell, my God, the smell.
I pulled a clump of wet hair out of the drain.
He licked the spoon and put it back in the pot!
That sauce looks like mud and smells worse.
There's something growing in your cup.
Take your dirty boots off my sofa, that's manure!
It's indecent, the way they carry on.
I had to clean the bin, I nearly puked.
The air in there was thick with sweat and smoke, nauseating.
You ate a worm? That is so gross.
The bread is full of weevils.
Blood sausage? No thanks, the thought alone turns my stomach.
What a repugnant little man.
There was grease dripping from the ceiling.
I can't stand the feel of it, all cold and clammy.
Your room is a pigsty, there's mould on the plates.
I shook his hand, and now I want to scrub mine.
Oh, the smell of that cheese, take it outside.
He sold out his friends for money, it's repulsive.
They found a dead rat in the tank.
The way you grovel before him disgusts me.
It's bitter and slimy, I can't get it down.
Pew, who forgot to take out the rubbish?
That's just wrong, who eats brains?
I won't touch that with a stick.
Your plate is still dirty, there's old egg on it.
It squelched when I stepped on it.
The eggs are rotten, throw them out.
He drinks it raw, with the blood still in it.
I'm appalled, what a depraved thing to do.
The pond is full of dead frogs and scum.
He sneezed right into the salad.
This is the filthiest kitchen I have ever inspected.
Don't show me the scab, I'm eating.
It smells like a wet dog in here.
They let the corpse rot in the sun.
It's full of hairs and crumbs, I'm not lying on that.
I found lice in her hair.
That man makes my skin crawl.
Old fish, cold cabbage, it makes me retch.
What is this goo on my chair?
You drank from the toilet? Oh, that's nasty.
It has gone off, can't you smell it?
I detest that oily smile of his.
The cat brought in half a mouse, ugh, there are bits on the rug.
The mattress has stains I don't want to think about.
I'm never eating there again, the cook doesn't wash his hands.
How revolting, he's cleaning his teeth with a fork.
It's a degrading spectacle, I feel soiled for having watched it.
There is chewing gum under the table, and my hand is in it.
I bit into the apple and there was half a worm.
Vomit, blood and beer, that's what the alley smells of.
Your sweaty shirt is on my pillow, how lovely, no, take it off!
They boil it for three days until it turns to jelly, horrid.
He has food in his beard, I can't look.
That carpet is damp, and it smells of urine.
I feel nauseous, get that plate out of my sight.
Bah, the wine is corked and the meat is off.
It's a nasty business, buying people's silence.
The whole lake is a sewer now, you can smell it for miles.
You put ketchup on that? Revolting.
Spit it out, it's rotten!
There were slugs in the lettuce.
I can't drink this, there's something floating in it.
That rash looks horrible, is it contagious?
They laugh while he suffers, what vile people.
Don't lick it! You don't know where it's been.
He was scratching himself and then touching the bread.
That stuff is toxic sludge, it burns my nose.
You reuse the bandages? That's unhygienic.
Ew, ew, ew, get it off me!
I could see the fat floating on top, and I pushed the bowl away.
It's a dead pigeon, leave it.
Eugh, your hands are all greasy.
The smell hit me before I opened the door.
I gagged on the first bite.
He keeps his cut toenails in a jar.
Those dishes have been in the sink since Easter, there's fur on them.
What's that crust around the tap? I don't want to know.
They sell children, it's monstrous, it makes me sick.
Nobody will clean that up, the drain is full of rotting leaves and worse.
The stain won't come out, and I don't even want to know what it is.
I don't like the taste, it's rather unpleasant.
That smells a bit off to me.
I find the whole thing distasteful.
I would never put my lips to that cup.
Ugh, I hate the skin on hot milk.
There's dog mess on my shoe.
That perfume is nauseating.
"""
